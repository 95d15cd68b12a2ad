"""Take one defence out, see which of its tests notice, put it back: `python -m dev.mutants [name …]`.

A test that passes without the defence it is named for guards nothing. Each defence is one line of the app and what a
careless hand would make of it; it is taken out in a copy of the checkout, never in the checkout. SECURITY.md tells
what was noticed; tests/house/test_security.py keeps both lists and the lines themselves in step.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv", "node_modules", "instance", "__pycache__", ".*_cache")


@dataclass(frozen=True)
class Defence:
    """`line` of `file` becomes `careless`; each of `tests` must then fail."""

    name: str
    file: str
    line: str
    careless: str
    tests: tuple[str, ...]


OPENING, EVENTS, LIFE = (
    "tests/portals/test_installs.py",
    "tests/portals/test_events.py",
    "tests/portals/test_lifecycle.py",
)
NOTICES = "tests/runs/test_notices.py"
TENANT_ISOLATION, SESSION, SIGNIN = (
    "tests/web/test_tenant_isolation.py",
    "tests/web/test_session.py",
    "tests/portals/test_sign_in.py",
)
ISOLATION, HOSTILE = "tests/web/test_isolation.py", "tests/web/test_hostile_portals.py"
RENEWAL = "tests/tokens/test_renewal.py"
SPEAKS = "tests/portals/test_who_speaks.py"
AFTER, LOCKS, INBOX, READY = (
    "tests/portals/test_after_removal.py",
    "tests/portals/test_lock_order.py",
    "tests/portals/test_inbox.py",
    "tests/portals/test_user_ready.py",
)
PORTAL_MOVES, RACES, PERMISSIONS = (
    "tests/portals/test_portal_moves.py",
    "tests/tokens/test_races.py",
    "tests/runs/test_permissions.py",
)
DEFENCES = (
    Defence(
        "the token must be of our app",
        "b24app/portals/verification.py",
        "if info.client_id != self._client_id:",
        "if False:",
        (
            f"{OPENING}::test_a_forged_post_is_refused_in_words_and_leaves_nothing",
            f"{LIFE}::test_a_token_of_another_app_proves_no_new_secret",
        ),
    ),
    Defence(
        "the token must be of the portal that is named",
        "b24app/portals/verification.py",
        "if info.member_id != claim.member_id:",
        "if False:",
        (
            f"{OPENING}::test_a_forged_post_is_refused_in_words_and_leaves_nothing",
            f"{LIFE}::test_a_token_of_another_portal_proves_no_new_secret",
        ),
    ),
    Defence(
        "only authorization servers of the list are asked", "b24app/bitrix/oauth.py",
        "return next((url for url in self._urls if urlsplit(url).netloc.lower() == host), self._urls[0])",
        'return f"http://{host}" if host else self._urls[0]',
        (
            f"{OPENING}::test_a_server_that_vouches_for_its_own_forgery_is_never_asked",
            f"{SIGNIN}::test_a_server_that_is_not_of_our_list_never_gets_the_code",
        ),
    ),
    Defence(
        "an event proves itself by the portal's secret", "b24app/portals/installs.py",
        "return secrets.compare_digest(fingerprint(application_token), kept)", "return bool(kept)",
        (
            f"{LIFE}::test_an_event_that_proves_nothing_is_refused_and_changes_nothing",
            f"{EVENTS}::test_a_removal_without_the_right_application_token_is_refused",
        ),
    ),
    Defence(
        "only an administrator brings the portal's secret", "b24app/portals/installs.py",
        "if isinstance(admin, Answer) and admin.result is True:", "if True:",
        (
            f"{LIFE}::test_a_clerks_token_is_genuine_but_replaces_no_secret",
            f"{EVENTS}::test_a_colleague_cannot_plant_an_application_token_by_their_frame",
            f"{SPEAKS}::test_no_clerk_plants_the_first_secret",
            f"{SPEAKS}::test_a_clerk_who_opens_first_plants_no_secret",
        ),
    ),
    Defence(
        "what is said of a refresh token stops no portal", "b24app/tokens/user_tokens.py",
        "if self._stops.hinted(user.member_id, stored):",
        "if self._stops._stop(user.member_id, stored.portal_epoch, told) is None:",
        (
            f"{SPEAKS}::test_a_clerk_with_a_foreign_refresh_token_erases_nothing",
            f"{SPEAKS}::test_what_is_said_of_a_refresh_token_stops_no_portal",
            f"{SPEAKS}::test_a_refused_refresh_token_condemns_its_own_row_and_no_other",
        ),
    ),
    Defence(
        "a stop is confirmed", "b24app/tokens/stops.py",
        "if self._is_confirmed(member_id, access, said):", "if True:",
        (
            f"{SPEAKS}::test_one_passing_refusal_stops_nothing",
            f"{SPEAKS}::test_a_portal_that_alone_says_not_installed_does_not_stop",
        ),
    ),
    Defence(
        "a page of HTML is no word of the authorization server", "b24app/bitrix/oauth.py",
        'if not isinstance(body, dict):\n        raise _Refused("portal_unavailable", answer.status_code)',
        'if not isinstance(body, dict):\n        raise _Refused("NOT_INSTALLED", answer.status_code)',
        (f"{SPEAKS}::test_an_html_404_of_the_authorization_server_is_passing_trouble",),
    ),
    Defence(
        "a removed portal begins again with an administrator", "b24app/portals/installs.py",
        "if not self._tokens.is_administrator(proven.info.client_endpoint, grant.access, strict=strict):", "if False:",
        (f"{SPEAKS}::test_a_clerk_does_not_reopen_a_removed_portal",),
    ),
    Defence(
        "a removal is confirmed", "b24app/portals/events.py",
        "found = self._status.presence(event.member_id)", "found = Presence.REMOVED",
        (
            f"{SPEAKS}::test_an_employee_with_the_real_secret_removes_nothing",
            f"{SPEAKS}::test_an_unprovable_removal_suspends_at_once_and_deletes_after_a_day",
        ),
    ),
    Defence(
        "a refused refresh token confirms no removal", "b24app/portals/status.py",
        "except NOBODY_LEFT:\n                continue", "except NOBODY_LEFT:\n                return Presence.REMOVED",
        (f"{SPEAKS}::test_a_refused_refresh_token_confirms_no_removal",),
    ),
    Defence(
        "a removal nobody can be asked about waits a day", "b24app/portals/events.py",
        "if self._clock() >= event.deadline:", "if True:",
        (
            f"{SPEAKS}::test_an_unprovable_removal_suspends_at_once_and_deletes_after_a_day",
        ),
    ),
    Defence(
        "what was proven before a removal opens nothing after it", "b24app/portals/installs.py",
        "if portal is None or not portal.is_open or began.epoch not in (None, portal.epoch):",
        "if portal is None:",
        (f"{AFTER}::test_an_open_proven_before_a_removal_revives_nothing_after_it",),
    ),
    Defence(
        "a history without people gets none by a late batch", "b24app/runs/executor.py",
        "if row.created_by == NOBODY:", "if False:",
        (f"{AFTER}::test_a_batch_in_flight_writes_no_ids_of_people_after_a_removal",),
    ),
    Defence(
        "a call in flight is not logged after a removal", "b24app/request_log.py",
        "from {} where member_id = :member_id and user_id = :user_id for key share", "where '{}' is not null",
        (f"{AFTER}::test_a_call_in_flight_leaves_no_line_in_the_log_after_a_removal",),
    ),
    Defence(
        "a session of before orders nothing after a reinstall", "b24app/runs/orders.py",
        "if actor.portal_epoch not in (None, portal.epoch):", "if False:",
        (f"{AFTER}::test_a_session_of_before_orders_nothing_in_the_new_installation",),
    ),
    Defence(
        "a removal whose job was lost is found", "b24app/portals/removal.py",
        "marked = or_(Portal.to_be_erased, Portal.to_be_forgotten)", "marked = past",
        (f"{AFTER}::test_a_removal_whose_job_was_lost_is_finished_all_the_same",),
    ),
    Defence(
        "an event whose worker was killed is due again", "b24app/portals/inbox.py",
        "idle = {event: member_id for event, member_id in events.items() if event not in living}", "idle = {}",
        (
            f"{INBOX}::test_an_event_whose_job_was_lost_is_worked_off_all_the_same",
            f"{INBOX}::test_an_event_whose_worker_was_killed_is_due_again",
        ),
    ),
    Defence(
        "the look ahead holds runs in everybody's order", "b24app/runs/preflight.py",
        "held = mine.order_by(Run.returns_run.is_(None), Run.id)", "held = mine.order_by(Run.returns_run.is_not(None))",
        (f"{LOCKS}::test_the_look_ahead_and_a_pair_of_runs_do_not_deadlock",),
    ),
    Defence(
        "an undo holds the portal before its run", "b24app/runs/orders.py",
        "self._hold_open(db, actor)\n"
        "            halves = pair(db, run_of(db, actor, run_id).id)\n            old = halves.run",
        "halves = pair(db, run_of(db, actor, run_id).id)\n"
        "            self._hold_open(db, actor)\n            old = halves.run",
        (f"{LOCKS}::test_undo_of_an_ended_run_and_a_removal_do_not_deadlock",),
    ),
    Defence(
        "a batch's record holds the portal before its run", "b24app/runs/executor.py",
        "hold_portal(db, run.member_id)\n", "\n",
        (f"{LOCKS}::test_the_record_of_an_ended_run_and_a_removal_do_not_deadlock",),
    ),
    Defence(
        "what the database took back is done again", "b24app/store/db.py",
        "return _code(error) in PASSING", "return False",
        (f"{LOCKS}::test_a_transaction_the_database_took_back_is_done_again",),
    ),
    Defence(
        "a removal holds no portal while a renewal is under way", "b24app/portals/removal.py",
        "_forget_names(db, portal.member_id)\n",
        "_forget_names(db, portal.member_id)\n"
        "        db.execute(delete(User).where(User.member_id == portal.member_id))\n",
        (f"{AFTER}::test_a_removal_waits_for_no_renewal_while_it_holds_the_portal",),
    ),
    Defence(
        "the system user's token is for notices only", "b24app/tokens/system_user.py",
        "if method not in NOTICE_METHODS:", "if False:",
        (f"{READY}::test_no_other_method_is_called_with_it",),
    ),
    Defence(
        "a title is told to who may read the page now",
        "b24app/runs/notices.py",
        'return im.harmless(item.title) if "read" in held[place] else None',
        "return im.harmless(item.title)",
        (f"{NOTICES}::test_who_lost_the_right_to_read_is_not_told_the_title",),
    ),
    Defence(
        "who is asked to help may publish now",
        "b24app/runs/notices.py",
        'return all("public" in known[person, kind, site] for kind, site in places if site is not None)',
        "return bool(known)",
        (
            f"{NOTICES}::test_who_lost_the_right_to_publish_is_not_asked_to_take_over",
            f"{NOTICES}::test_who_lost_the_right_while_the_notice_waited_is_not_told",
        ),
    ),
    Defence(
        "the right is asked again when a notice is sent",
        "b24app/runs/notices.py",
        "if is_asked_for_help and not self._could_take_over(person.ref, run, known):",
        "if False:",
        (f"{NOTICES}::test_who_lost_the_right_while_the_notice_waited_is_not_told",),
    ),
    Defence(
        "a title in a notice is plain letters",
        "b24app/bitrix/im.py",
        'plain = " ".join(UNSEEN.sub(" ", text).translate(LOOK_ALIKE).split())',
        'plain = " ".join(text.split())',
        (f"{NOTICES}::test_a_hostile_title_is_plain_letters",),
    ),
    Defence(
        "a notice's link opens runs of the portal only",
        "b24app/web/frames.py",
        "return services().runs.get(services().users.actor(opening.user), UUID(named)).id",
        "return UUID(named)",
        (f"{NOTICES}::test_a_link_to_anything_else_opens_the_start_page_and_does_nothing",),
    ),
    Defence(
        "notices go with their people",
        "b24app/portals/removal.py",
        "db.execute(delete(Notice).where(Notice.member_id == member_id))",
        "pass",
        (f"{NOTICES}::test_people_and_what_they_were_told_go_with_the_app",),
    ),
    Defence(
        "a colleague is nobody's system user", "b24app/tokens/system_user.py",
        "if portal is None or not portal.is_open or db.get(User, (pair.member_id, pair.user_id)) is not None:",
        "if portal is None or not portal.is_open:",
        (f"{READY}::test_a_colleague_does_not_become_the_system_user",),
    ),
    Defence(
        "a binding counts when event.get shows it", "b24app/portals/bindings.py", "if event in shown:", "if True:",
        (
            f"{OPENING}::test_a_binding_counts_only_when_event_get_shows_it",
            f"{OPENING}::test_a_bind_that_answers_true_and_shows_nothing_is_not_believed",
        ),
    ),
    Defence(
        "an event from before the installation is too old", "b24app/portals/events.py",
        "older = moment is not None and moment <= portal.installed_at", "older = False",
        (
            f"{LIFE}::test_a_removal_replayed_after_a_reinstall_removes_nothing",
            f"{LIFE}::test_a_reinstall_after_a_removal_never_heard_of_is_a_new_installation",
        ),
    ),
    Defence(
        "an event counts once", "b24app/portals/events.py", "return is_marked(db, post.digest)",
        "return False", (f"{LIFE}::test_a_removal_repeated_later_is_welcome_and_changes_nothing",),
    ),
    Defence(
        "a portal is held before its runs", "b24app/portals/removal.py",
        "portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)\n"
        "            if portal is None or not portal.is_open:",
        "lock_runs(db, member_id)\n"
        "            portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)\n"
        "            if portal is None or not portal.is_open:",
        (f"{LIFE}::test_a_removal_and_the_recording_of_a_batch_do_not_deadlock",),
    ),
    Defence(
        "an order does not outlive the app's removal", "b24app/runs/orders.py",
        "if portal is None or not portal.is_open:", "if False:",
        (f"{LIFE}::test_an_order_that_meets_the_removal_is_not_written_after_it",),
    ),
    Defence(
        "epochs of an erased portal do not come again", "b24app/portals/installs.py",
        '"epoch": secrets.randbits(EPOCH_BITS),', '"epoch": 1,',
        (f"{LIFE}::test_a_session_of_an_erased_portal_stays_ended_after_a_reinstall",),
    ),
    Defence(
        "questions about made-up posts are limited",
        "b24app/portals/rate_limit.py",
        "if not self._take(buckets):",
        "if False:",
        (
            "tests/portals/test_flood.py::test_a_flood_costs_few_questions_and_no_rows_and_blocks_no_install",
            "tests/portals/test_rate_limit.py::test_forged_posts_from_one_address_lead_to_a_handful_of_questions",
        ),
    ),
    Defence(
        "a run is looked for in the asker's portal only", "b24app/runs/states.py",
        "query = select(Run).where(Run.member_id == actor.member_id, Run.id == run_id)",
        "query = select(Run).where(Run.id == run_id)",
        (f"{TENANT_ISOLATION}::test_a_stranger_learns_and_changes_nothing", "tests/web/test_request_log.py"),
    ),
    Defence(
        "steering needs a right", "b24app/permissions.py",
        "if run.created_by == actor.user_id or self._publishes_on(actor, run, sites):", "if True:",
        (f"{PERMISSIONS}::test_who_may_steer",),
    ),
    Defence(
        "a session ends with the epoch", "b24app/users.py",
        "if (portal.epoch, person.epoch) != (portal_epoch, user_epoch):", "if False:",
        (
            f"{SESSION}::test_a_new_epoch_of_a_portal_ends_all_sessions_there_and_no_others",
            f"{SESSION}::test_the_end_of_a_users_epoch_ends_their_sessions_only",
        ),
    ),
    Defence(
        "a signature is good for one purpose", "b24app/signing.py",
        'aud={"essential": True, "value": self._audience},', "",
        (
            f"{SESSION}::test_what_is_no_token_of_ours_opens_nothing",
            f"{SIGNIN}::test_what_was_signed_for_another_purpose_is_no_state",
        ),
    ),
    Defence(
        "a session has a hard end", "b24app/web/session.py",
        "ends = min(claims.issued + LIFE.total_seconds(), claims.opened + HARD_END.total_seconds())",
        "ends = claims.issued + LIFE.total_seconds()",
        (f"{SESSION}::test_twelve_hours_after_the_opening_it_is_over_however_busy_one_is",),
    ),
    Defence(
        "a sign-in ends in the browser that began it", "b24app/portals/sign_in.py",
        'if not secrets.compare_digest(str(claims.get("browser")), fingerprint(browser)):', "if False:",
        (f"{SIGNIN}::test_another_browser_cannot_finish_what_this_one_began",),
    ),
    Defence(
        "a state is good once",
        "b24app/portals/sign_in.py",
        "if not mark_once(db, claims[\"jti\"], kept_until):",
        "if mark_once is None:",
        (f"{SIGNIN}::test_a_state_is_good_once_however_many_come_at_the_same_time",),
    ),
    Defence(
        "only the proven portal may frame the app", "b24app/factory.py", "frame-ancestors {ancestor}",
        "frame-ancestors *",
        (
            f"{OPENING}::test_only_the_proven_portal_may_frame_the_app",
            "tests/browser/test_foreign_frames.py::test_no_other_site_shows_the_app_even_with_a_form_it_stole",
        ),
    ),
    Defence(
        "addresses inside a network are not called", "b24app/bitrix/address.py",
        "return address.is_global and (address.version == 4 or address in GIVEN_OUT)", "return True",
        ("tests/bitrix/test_address.py::test_one_private_address_among_public_ones_spoils_the_name",),
    ),
    Defence(
        "a portal moves only where the authorization server says", "b24app/tokens/user_tokens.py",
        "now = self._oauth.app_info(access.server, access.token)",
        'return ask(Credentials(f"http://{moved.host}/rest/", access.server, access.token, access.expires_at))',
        (f"{PORTAL_MOVES}::test_a_redirect_to_a_stranger_sends_nothing_there",),
    ),
    Defence(
        "one renewal at a time", "b24app/tokens/user_tokens.py",
        "row = db.get(UserToken, (user.member_id, user.user_id), with_for_update=HELD)\n        portal",
        "row = db.get(UserToken, (user.member_id, user.user_id))\n        portal",
        (f"{RACES}::test_four_processes_and_a_worker_renew_once_and_nobody_sees_an_error",),
    ),
    Defence(
        "a renewed pair is kept until it is written", "b24app/tokens/user_tokens.py",
        "self._late.keep(user, spent, verdict)\n", "\n",
        (f"{RENEWAL}::test_a_renewed_pair_that_cannot_be_written_is_kept_until_it_can",),
    ),
    Defence(
        "unproven events of one network leave room for another's", "b24app/portals/inbox.py",
        "here = number(network == _mark(received))", "here = number(network.is_not(None))",
        (f"{READY}::test_unproven_events_of_one_network_hold_back_no_genuine_one",),
    ),
    Defence(
        "a ciphertext opens in its own row only", "b24app/store/vault.py",
        'return "\\0".join((self.table, self.row, self.column)).encode()', 'return b""',
        (
            "tests/store/test_vault.py::test_a_ciphertext_moved_to_another_row_or_column_does_not_open",
            "tests/tokens/test_renewal.py::test_a_ciphertext_moved_to_another_row_does_not_open",
        ),
    ),
    Defence(
        "an answer with a session token is not packed", "b24app/web/session.py",
        "    leave_as_it_is()", "    pass",
        ("tests/web/test_compression.py::test_an_answer_with_a_session_token_is_never_packed",),
    ),
    Defence(
        "a frozen process loses its row", "b24app/store/connections.py",
        '"idle_in_transaction_session_timeout": "12s"', '"idle_in_transaction_session_timeout": "0"',
        (f"{RACES}::test_a_renewer_frozen_while_it_holds_the_row_is_overtaken_and_recovers",),
    ),
    Defence(
        "few renewals hold a connection at once", "b24app/tokens/user_tokens.py",
        "RENEWALS_AT_ONCE = 4 ", "RENEWALS_AT_ONCE = 100 ",
        (f"{RACES}::test_renewals_at_a_hanging_server_leave_connections_to_the_others",),
    ),
    Defence(
        "a renewed pair must be the same person's", "b24app/tokens/exchange.py",
        "return pair if belongs_to(pair, user) else", "return pair if True else",
        (f"{RENEWAL}::test_tokens_moved_to_a_system_user_are_not_used_on_anybodys_behalf",),
    ),
    Defence(
        "credentials of ours that are wrong condemn no token", "b24app/tokens/exchange.py",
        "except (SignInAgain, UserGone, NotInstalled) as refused:",
        "except (SignInAgain, UserGone, NotInstalled, OperatorError) as refused:",
        (
            f"{RENEWAL}::test_a_wrong_secret_at_deploy_harms_nobody_and_is_told_to_the_operator",
            f"{RENEWAL}::test_a_wrong_secret_at_deploy_lets_runs_wait_and_loses_nothing",
        ),
    ),
    Defence(
        "whatever is logged is searched for secrets", "b24app/log.py",
        "structlog.processors.format_exc_info, Redaction(config.secrets()), last]",
        "structlog.processors.format_exc_info, last]",
        (
            "tests/unit/test_log.py::test_everything_a_process_writes_goes_the_same_way",
            "tests/web/test_redaction.py::test_no_secret_comes_out_anywhere",
        ),
    ),
    Defence(
        "a portal has few threads at once", "b24app/server.py",
        "if free > 0 and at_work < self._most(party, free):", "if free > 0:",
        (f"{ISOLATION}::test_a_hanging_portal_and_half_open_posts_hold_up_nobody_else",),
    ),
    Defence(
        "health has threads of its own", "b24app/server.py", 'lane = RESERVED.get(path, "")', 'lane = ""',
        (f"{ISOLATION}::test_health_and_events_are_answered_when_every_thread_hangs",),
    ),
    Defence(
        "a call ends with the request it is for", "b24app/deadline.py",
        "return own if ends is None else max(0.0, min(own, ends - time.monotonic()))", "return own",
        (f"{HOSTILE}::test_a_deadline_is_the_smaller_of_what_is_left_and_a_calls_own",),
    ),
    Defence(
        "a host that hangs is left alone", "b24app/bitrix/places.py",
        "if health is None or health.timeouts < TIMEOUTS_IN_A_ROW:", "if True:",
        (f"{ISOLATION}::test_a_portal_that_keeps_hanging_is_left_alone_until_it_recovers",),
    ),
    Defence(
        "an answer is given up while it is read", "b24app/bitrix/rest.py",
        "if got > size.most_bytes or values > size.most_values:", "if got > size.most_bytes:",
        (f"{HOSTILE}::test_eight_megabytes_of_junk_cost_little_more_than_is_read_of_them",),
    ),
    Defence(
        "a list ends, whatever the portal says", "b24app/pages/lists.py",
        "full and FIRST_CHUNKS * CHUNK + len(states) < MOST_PAGES else None",
        "full and len(states) < 4 * MOST_PAGES else None",
        (f"{HOSTILE}::test_reading_a_portal_with_endless_full_chunks_stops_at_a_limit",),
    ),
    Defence(
        "rights are kept", "b24app/permissions.py",
        "RIGHTS_LAST, FAILURE_LASTS = timedelta(minutes=5)", "RIGHTS_LAST, FAILURE_LASTS = timedelta(seconds=1)",
        ("tests/runs/test_rights_kept.py::test_thirty_looks_at_a_colleagues_run_ask_the_portal_once",),
    ),
    Defence(
        "networks known pay from no bucket", "b24app/portals/rate_limit.py",
        "known = self._proven.get(here, self._clock()) is not None", "known = False",
        ("tests/portals/test_rate_limit.py::test_networks_that_proved_a_portal_before_pay_from_no_bucket",),
    ),
    Defence(
        "languages are those of Bitrix24", "b24app/i18n.py", "return code if code in KNOWN else DEFAULT", "return code",
        ("tests/unit/test_i18n.py::test_a_posted_language_is_kept_only_when_it_is_one",),
    ),
    Defence(
        "open orders are counted", "b24app/runs/quotas.py", "if (db.scalar(waiting) or 0) >= OPEN_ORDERS:", "if False:",
        ("tests/runs/test_quotas.py::test_a_thousand_open_orders_are_the_most_a_portal_may_have",),
    ),
    Defence(
        "true is no number", "b24app/domain.py",
        "if isinstance(value, int) and not isinstance(value, bool):\n        return value",
        "if isinstance(value, int | float):\n        return int(value)",
        ("tests/web/test_strict_forms.py::test_what_is_no_number_is_no_page",),
    ),
    Defence(
        "a body in chunks is never cut", "b24app/web/forms.py",
        'got = request.environ["wsgi.input"].read(limit + 1)', 'got = request.environ["wsgi.input"].read(limit)',
        ("tests/web/test_strict_forms.py::test_an_order_in_chunks_over_the_limit_is_refused_and_never_cut",),
    ),
)  # fmt: skip


def main() -> int:
    """Try the named defences, or all; the exit code tells whether every one of their tests noticed."""
    wanted = [defence for defence in DEFENCES if not sys.argv[1:] or defence.name in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
        silent = [test for defence in wanted for test in unnoticed(defence, copy)]
    print(f"mutants: {len(wanted)} defences taken out, {len(silent)} tests noticed nothing")
    return 1 if silent or not wanted else 0


def unnoticed(defence: Defence, copy: Path) -> list[str]:
    """The tests that pass although the defence is gone."""
    path = copy / defence.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(defence.line, defence.careless, 1), encoding="utf-8")
    try:
        found = [test for test in defence.tests if passes(test, copy)]
    finally:
        path.write_text(whole, encoding="utf-8")
    print(f"mutants: {defence.name}: {'noticed' if not found else 'NOT noticed by ' + ', '.join(found)}", flush=True)
    return found


def passes(test: str, copy: Path) -> bool:
    """Whether a test passes in the copy. Only tests that ran and failed count as having noticed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    code = subprocess.call(command, cwd=copy, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if code not in (0, 1):
        raise SystemExit(f"mutants: pytest ended with {code} for {test}")
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
