"""Forms and queries of people, read by pydantic models; what is wrong is said by field."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from b24app.errors import BadForm
from b24app.web.words import _

Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], sent: MultiDict[str, str] | Mapping[str, Any], lists: tuple[str, ...] = ()) -> Model:
    """The form as `model`; empty fields count as not sent, `lists` names what repeats. Raises BadForm 422."""
    try:
        return model.model_validate(_plain(sent, lists) if isinstance(sent, MultiDict) else dict(sent))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "form"
        raise BadForm(words=_("The field “%(field)s” is not as it should be. Nothing was done.", field=field)) from None


def _plain(sent: MultiDict[str, str], lists: tuple[str, ...]) -> dict[str, Any]:
    single = {name: value for name, value in sent.items() if name not in lists and value != ""}
    return single | {name: sent.getlist(name) for name in lists if name in sent}
