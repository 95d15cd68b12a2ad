"""Years of history, made up by the database itself: the same rows for the same size, in seconds to minutes.

Every portal numbers its pages from 1, as real ones do, so a page's number alone leads to rows of all tenants. Runs lie
evenly in the last two years; an eighth is still to come, far away. One portal, the first, has many times as much as the
others. Ids are hashes of row numbers, in no order of time, as random ones would be.
"""

from dataclasses import dataclass

import psycopg

FIRST_SHARE = 13  # every so many runs one is of the first portal
PAGES_OF_A_RUN, PAGES_OF_A_PORTAL, PEOPLE = 5, 2_000, 20


@dataclass(frozen=True)
class Size:
    """How much there is."""

    portals: int = 500
    runs: int = 240_000
    calls: int = 600_000


PORTALS = """
insert into portals (member_id, domain, client_endpoint, oauth_server, scope, status, app_version, epoch, installed_at)
select md5('portal' || n), n || '.example', 'https://' || n || '.example/rest/', 'https://o.example', 'landing', 'L', 1,
       1, now() - interval '2 years'
from generate_series(1, %(portals)s) n
"""
USERS = """
insert into users (member_id, user_id, name, opened_at)
select p.member_id, u, 'Person ' || u, now() - (u - 1000) * interval '10 days'
from portals p, generate_series(1001, 1000 + %(people)s) u
"""
TOKENS = """
insert into user_tokens (member_id, user_id, access, refresh, access_sha256, expires_at, obtained_at)
select member_id, user_id, '\\x00', '\\x00', md5(member_id || user_id), now(), opened_at from users where user_id > 1000
"""
OWNERS = """
create temporary table owners as select member_id, row_number() over (order by domain) - 1 as place from portals;
create temporary table mine as
select n, md5('run' || n)::uuid as id, o.member_id,
       case when n %% 8 = 0 then 'scheduled' when n %% 8 = 1 then 'partial' when n %% 80 = 2 then 'failed'
            when n %% 80 = 3 then 'cancelled' else 'succeeded' end as state,
       case when n %% 3 = 0 then 'publish' else 'unpublish' end as action,
       now() - (n::float8 / %(runs)s) * interval '730 days' as made, 1001 + n / 7 %% %(people)s as who
from generate_series(1, %(runs)s) n
join owners o on o.place = case when n %% %(share)s = 0 and (n %% 8 <> 0 or n %% 3 = 0) then 0
                            else (n::bigint * 7919 + n / 500) %% %(portals)s end
"""
RUNS = """
insert into runs (id, member_id, action, kind, state, at, created_by, created_name, acting_as, acting_name, created_at,
                  started_at, finished_at, checked_at, step, tries, pages)
select id, member_id, action, 'PAGE', state,
       case when state = 'scheduled' then now() + interval '1 day' + (n %% 8640) * interval '1 hour' end,
       who, 'Person ' || who, who, 'Person ' || who, made,
       case when state <> 'scheduled' then made end, case when state <> 'scheduled' then made + interval '1 minute' end,
       made, 1, 0, %(items)s
from mine
"""
ITEMS = """
insert into run_items (run_id, position, member_id, lid, site_id, title, site, state, before, after)
select m.id, i, m.member_id, 1 + (m.n * 13 + i * 401) %% %(lids)s, 3, 'Page ' || i, 'Main site',
       case m.state when 'scheduled' then 'pending' when 'cancelled' then 'cancelled' when 'failed' then 'failed'
                    when 'partial' then case when i = 0 then 'failed' else 'succeeded' end else 'succeeded' end,
       '{"active": true, "public": true, "modified_by": 1001}', '{"active": false, "public": true, "modified_by": 1001}'
from mine m, generate_series(0, %(items)s - 1) i
"""
CALLS = """
insert into api_calls (id, at, member_id, user_id, method, params, http_status, code, seconds, answer)
select 1000000 + n, now() - ((%(calls)s - n)::float8 / %(calls)s) * interval '7 days',
       o.member_id, 1001 + n %% %(people)s,
       case when n %% 1000 = 0 then 'user.admin' when n %% 9 = 0 then 'landing.site.getList' else 'batch' end,
       '{}', 200,
       case when n %% 500 = 0 then 'QUERY_LIMIT_EXCEEDED' end, 0.2, repeat('answer ', 20)
from generate_series(1, %(calls)s) n
join owners o on o.place = case when n %% %(share)s = 0 then 0 else (n::bigint * 7919 + n / 500) %% %(portals)s end
"""
LAST = "select setval(pg_get_serial_sequence('api_calls', 'id'), (select max(id) from api_calls))"
TABLES = "portals, users, user_tokens, runs, run_items, api_calls, procrastinate_jobs"


def fill(url: str, size: Size) -> None:
    """Write it all. A portal that is there already counts, and the one whose domain sorts first is the big one."""
    numbers = {
        "portals": size.portals, "runs": size.runs, "calls": size.calls, "people": PEOPLE, "share": FIRST_SHARE,
        "items": PAGES_OF_A_RUN, "lids": PAGES_OF_A_PORTAL,
    }  # fmt: skip
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for statement in (PORTALS, USERS, TOKENS, OWNERS, RUNS, ITEMS, CALLS, LAST):
            connection.execute(statement.encode(), numbers)
        connection.execute(f"vacuum analyze {TABLES}".encode())
