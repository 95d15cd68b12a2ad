"""Fields that people add to users or to records of the CRM: the five methods, for whoever has such fields."""

from __future__ import annotations

from b24sandbox.methods.lists import paged
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.records import Records
from b24sandbox.state.world import Portal

USUAL: dict[str, object] = {
    "XML_ID": None,
    "SORT": "100",
    "MULTIPLE": "N",
    "MANDATORY": "N",
    "SHOW_FILTER": "N",
    "SHOW_IN_LIST": "Y",
    "EDIT_IN_LIST": "Y",
    "IS_SEARCHABLE": "N",
}
SETTINGS: dict[str, object] = {
    "SIZE": 20, "ROWS": 1, "REGEXP": "", "MIN_LENGTH": 0, "MAX_LENGTH": 0, "DEFAULT_VALUE": "",
}  # fmt: skip
COLUMNS = ("ID", "ENTITY_ID", "FIELD_NAME", "USER_TYPE_ID", *USUAL, "SETTINGS", "EDIT_FORM_LABEL", "LIST_COLUMN_LABEL")
TYPES = (
    "string", "integer", "double", "boolean", "date", "datetime", "enumeration", "money", "url", "address", "employee",
    "file", "crm", "crm_status", "iblock_section", "iblock_element",
)  # fmt: skip


def names(portal: Portal, entity: str) -> list[str]:
    """The added fields of an entity, by name."""
    return [php.text(row["FIELD_NAME"]) for row in _kept(portal, entity).all()]


def _kept(portal: Portal, entity: str) -> Records:
    return portal.records.setdefault(f"userfields {entity}", Records())


def register(prefix: str, scope: tuple[str, ...], entity: str, mark: str) -> None:
    """`<prefix>.userfield.add | get | list | update | delete`; `mark` begins every field's name."""

    @rest_method(f"{prefix}.userfield.add", *scope)
    def add(call: MethodCall) -> int:
        call.need_admin()
        given = dict(php.items(call.get("fields")))
        kind = php.text(given.get("USER_TYPE_ID"))
        name = php.text(given.get("FIELD_NAME")).upper()
        if not name:
            raise RestError("ERROR_CORE", "The 'FIELD_NAME' field is not found.", 400)
        if kind not in TYPES:
            raise RestError("ERROR_CORE", "The 'USER_TYPE_ID' field is not valid.", 400)
        name = name if name.startswith(mark) else f"{mark}{name}"
        if name in names(call.portal, entity):
            raise RestError("ERROR_CORE", f"Field {name} for object {entity} already exists.", 400)
        row = {"ENTITY_ID": entity, **USUAL, "SETTINGS": dict(SETTINGS), **_printed(given)}
        number = _kept(call.portal, entity).add({**row, "FIELD_NAME": name})
        call.emit(f"ON{prefix.replace('.', '').upper()}USERFIELDADD", {"FIELDS": _about(call, number)})
        return number

    @rest_method(f"{prefix}.userfield.list", *scope)
    def list_(call: MethodCall) -> object:
        return paged(call, _kept(call.portal, entity).all(), COLUMNS)

    @rest_method(f"{prefix}.userfield.get", *scope)
    def get(call: MethodCall) -> object:
        return found(call)

    @rest_method(f"{prefix}.userfield.update", *scope)
    def update(call: MethodCall) -> bool:
        call.need_admin()
        row = found(call)
        given = _printed(dict(php.items(call.get("fields"))))
        settings = given.pop("SETTINGS", None)
        row.update({key: value for key, value in given.items() if key not in ("ID", "FIELD_NAME", "USER_TYPE_ID")})
        if php.is_array(settings):
            row["SETTINGS"] = {**dict(php.items(row["SETTINGS"])), **dict(php.items(settings))}
        return True

    @rest_method(f"{prefix}.userfield.delete", *scope)
    def delete(call: MethodCall) -> bool:
        call.need_admin()
        row = found(call)
        del _kept(call.portal, entity).rows[php.integer(row["ID"])]
        return True

    def found(call: MethodCall) -> dict[str, object]:
        row = _kept(call.portal, entity).rows.get(php.integer(call.get("id")))
        if row is None:
            raise RestError("ERROR_NOT_FOUND", "The user field is not found", 400)
        return row

    def _about(call: MethodCall, number: int) -> dict[str, object]:
        return {"ID": number, "ENTITY_ID": entity, "FIELD_NAME": _kept(call.portal, entity).rows[number]["FIELD_NAME"]}


def _printed(given: dict[str, object]) -> dict[str, object]:
    """Scalars as texts, as a portal tells them back; settings stay as they are."""
    return {
        key.upper(): value if php.is_array(value) or value is None else php.text(value) for key, value in given.items()
    }
