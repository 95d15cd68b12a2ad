"""A CRM to begin with: deals, contacts and leads with the usual methods, userfields, and their events.

No access rights, no pipelines but the first, no products: enough for an app that keeps records, and for the examples
of the official SDKs. More is a matter of four lines each (`rest_method`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from b24sandbox.methods import userfields
from b24sandbox.methods.lists import paged
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.events import register_event
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.clock import iso
from b24sandbox.state.records import Records, Row

MULTIPLE = ("PHONE", "EMAIL", "WEB", "IM")
MONEY = ("OPPORTUNITY", "TAX_VALUE")
READ_ONLY = ("ID", "DATE_CREATE", "DATE_MODIFY", "CREATED_BY_ID", "MODIFY_BY_ID", "CLOSED", "STAGE_SEMANTIC_ID")
SHARED = (
    "ASSIGNED_BY_ID", "CREATED_BY_ID", "MODIFY_BY_ID", "DATE_CREATE", "DATE_MODIFY", "OPENED", "COMMENTS", "SOURCE_ID",
    "SOURCE_DESCRIPTION", "ORIGINATOR_ID", "ORIGIN_ID", "UTM_SOURCE", "UTM_MEDIUM", "UTM_CAMPAIGN", "UTM_CONTENT",
    "UTM_TERM", "LAST_ACTIVITY_TIME", "LAST_ACTIVITY_BY",
)  # fmt: skip
PERSON = (
    "HONORIFIC", "NAME", "SECOND_NAME", "LAST_NAME", "BIRTHDATE", "POST", "ADDRESS", "ADDRESS_2", "ADDRESS_CITY",
    "ADDRESS_POSTAL_CODE", "ADDRESS_REGION", "ADDRESS_PROVINCE", "ADDRESS_COUNTRY", "ADDRESS_COUNTRY_CODE",
    "ADDRESS_LOC_ADDR_ID", "HAS_PHONE", "HAS_EMAIL", "HAS_IMOL", "COMPANY_ID",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of record: its fields in order, and what a new one has where nothing is said."""

    name: str
    fields: tuple[str, ...]
    usual: Mapping[str, object]
    multiple: tuple[str, ...] = ()

    @property
    def entity(self) -> str:
        return f"CRM_{self.name.upper()}"


KINDS = (
    Kind(
        "deal",
        (
            "ID", "TITLE", "TYPE_ID", "CATEGORY_ID", "STAGE_ID", "STAGE_SEMANTIC_ID", "IS_NEW", "IS_RECURRING",
            "IS_RETURN_CUSTOMER", "IS_REPEATED_APPROACH", "PROBABILITY", "CURRENCY_ID", "OPPORTUNITY",
            "IS_MANUAL_OPPORTUNITY", "TAX_VALUE", "COMPANY_ID", "CONTACT_ID", "CONTACT_IDS", "QUOTE_ID", "BEGINDATE",
            "CLOSEDATE", "CLOSED", "LEAD_ID", "ADDITIONAL_INFO", "LOCATION_ID", "MOVED_BY_ID", "MOVED_TIME", *SHARED,
        ),
        {
            "TYPE_ID": "SALE", "CATEGORY_ID": "0", "STAGE_ID": "NEW", "STAGE_SEMANTIC_ID": "P", "IS_NEW": "Y",
            "IS_RECURRING": "N", "IS_RETURN_CUSTOMER": "N", "IS_REPEATED_APPROACH": "N", "CURRENCY_ID": "EUR",
            "OPPORTUNITY": "0.00", "IS_MANUAL_OPPORTUNITY": "N", "COMPANY_ID": "0", "OPENED": "Y", "CLOSED": "N",
        },
    ),
    Kind(
        "contact",
        ("ID", *PERSON, "TYPE_ID", "PHOTO", "LEAD_ID", "EXPORT", "FACE_ID", "COMPANY_IDS", *SHARED, *MULTIPLE),
        {"TYPE_ID": "CLIENT", "EXPORT": "Y", "OPENED": "Y", "HAS_PHONE": "N", "HAS_EMAIL": "N", "HAS_IMOL": "N"},
        MULTIPLE,
    ),
    Kind(
        "lead",
        (
            "ID", "TITLE", *PERSON, "COMPANY_TITLE", "STATUS_ID", "STATUS_DESCRIPTION", "STATUS_SEMANTIC_ID",
            "CURRENCY_ID", "OPPORTUNITY", "IS_MANUAL_OPPORTUNITY", "IS_RETURN_CUSTOMER", "CONTACT_ID", "CONTACT_IDS",
            "DATE_CLOSED", "MOVED_BY_ID", "MOVED_TIME", *SHARED, *MULTIPLE,
        ),
        {
            "STATUS_ID": "NEW", "STATUS_SEMANTIC_ID": "P", "CURRENCY_ID": "EUR", "OPPORTUNITY": "0.00",
            "IS_MANUAL_OPPORTUNITY": "N", "IS_RETURN_CUSTOMER": "N", "OPENED": "Y", "HAS_PHONE": "N", "HAS_EMAIL": "N",
            "HAS_IMOL": "N",
        },
        MULTIPLE,
    ),
)  # fmt: skip


def records(call: MethodCall, kind: Kind) -> Records:
    return call.records(f"crm {kind.name}")


def register(kind: Kind) -> None:
    """All methods and events of one kind of record."""
    name = f"crm.{kind.name}"
    event = f"ONCRM{kind.name.upper()}"
    for action in ("ADD", "UPDATE", "DELETE", "USERFIELDADD"):
        register_event(f"{event}{action}", "crm")
    userfields.register(name, ("crm",), kind.entity, "UF_CRM_")

    def found(call: MethodCall) -> Row:
        row = records(call, kind).rows.get(php.integer(call.get("id")))
        if row is None:
            raise RestError("", "Not found", 400)
        return row

    @rest_method(f"{name}.fields", "crm")
    def fields(call: MethodCall) -> dict[str, object]:
        """Every field with its type; those that people have added come last."""
        own = userfields.names(call.portal, kind.entity)
        return {each: _described(each, kind) for each in (*kind.fields, *own)}

    @rest_method(f"{name}.add", "crm", cost=0.15, wall=0.4)
    def add(call: MethodCall) -> int:
        """Keep a new record; its number."""
        row: Row = {
            **dict.fromkeys(kind.fields),
            **kind.usual,
            "ASSIGNED_BY_ID": str(call.user.id),
            "CREATED_BY_ID": str(call.user.id),
            "DATE_CREATE": iso(call.now),
        }
        del row["ID"]
        kept = records(call, kind)
        number = kept.add(row)
        _write(call, kind, kept.rows[number])
        title = php.text(kept.rows[number].get("TITLE"))
        if "TITLE" in kind.fields and not title:
            kept.rows[number]["TITLE"] = f"{kind.name.capitalize()} #{number}"
        call.emit(f"{event}ADD", {"FIELDS": {"ID": number}})
        return number

    @rest_method(f"{name}.get", "crm")
    def get(call: MethodCall) -> Row:
        """One record with all its fields."""
        return dict(found(call))

    @rest_method(f"{name}.list", "crm", cost=0.08, wall=0.2)
    def list_(call: MethodCall) -> object:
        """An ordinary list; fields with several values and those of people only when selected by name."""
        own = userfields.names(call.portal, kind.entity)
        usual = [each for each in kind.fields if each not in (*kind.multiple, "CONTACT_IDS", "COMPANY_IDS")]
        return paged(call, records(call, kind).all(), (*kind.fields, *own), usual)

    @rest_method(f"{name}.update", "crm", cost=0.12, wall=0.3)
    def update(call: MethodCall) -> bool:
        row = found(call)
        _write(call, kind, row)
        call.emit(f"{event}UPDATE", {"FIELDS": {"ID": php.integer(row["ID"])}})
        return True

    @rest_method(f"{name}.delete", "crm", cost=0.1, wall=0.3)
    def delete(call: MethodCall) -> bool:
        number = php.integer(found(call)["ID"])
        del records(call, kind).rows[number]
        call.emit(f"{event}DELETE", {"FIELDS": {"ID": number}})
        return True


def _write(call: MethodCall, kind: Kind, row: Row) -> None:
    """Put the given fields into a row as a portal tells them back; unknown and read-only ones are dropped."""
    own = userfields.names(call.portal, kind.entity)
    for key, value in php.items(call.get("fields")):
        name = key.upper()
        if name in READ_ONLY or name not in (*kind.fields, *own):
            continue
        row[name] = _values(call, value) if name in kind.multiple else _printed(name, value)
        if f"HAS_{name}" in row:
            row[f"HAS_{name}"] = "Y" if row[name] else "N"
    row["MODIFY_BY_ID"], row["DATE_MODIFY"] = str(call.user.id), iso(call.now)


def _printed(name: str, value: object) -> object:
    if value is None or php.is_array(value):
        return value
    if isinstance(value, bool):
        return "Y" if value else "N"
    if name in MONEY:
        try:
            return f"{float(php.text(value) or 0):.2f}"
        except ValueError:
            return "0.00"
    return php.text(value)


def _values(call: MethodCall, value: object) -> list[object]:
    """Phones and the like: each value with a number of its own and a type."""
    kept: list[object] = []
    for given in php.values(value):
        one = dict(php.items(given)) if php.is_array(given) else {"VALUE": given}
        if php.text(one.get("VALUE")):
            kind = php.text(one.get("VALUE_TYPE")) or "WORK"
            kept.append({"ID": str(call.portal.fresh_id()), "VALUE_TYPE": kind, "VALUE": php.text(one["VALUE"])})
    return kept


def _described(name: str, kind: Kind) -> dict[str, object]:
    kinds = {"OPPORTUNITY": "double", "DATE_CREATE": "datetime", "DATE_MODIFY": "datetime", "ID": "integer"}
    usual = "user" if name.endswith("BY_ID") else ("integer" if name.endswith("_ID") else "string")
    return {
        "type": "crm_multifield" if name in kind.multiple else kinds.get(name, usual),
        "isRequired": False,
        "isReadOnly": name in READ_ONLY,
        "isImmutable": False,
        "isMultiple": name in kind.multiple,
        "isDynamic": name.startswith("UF_"),
        "title": name.replace("_", " ").capitalize(),
    }


for _kind in KINDS:
    register(_kind)
