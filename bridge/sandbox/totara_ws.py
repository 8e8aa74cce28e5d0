"""The legacy web services of the embedded Totara: the REST server's parameters, errors and answers.

As on the real one every answer has the status 200, an error being {"exception", "errorcode", "message"}
without a reason (production sites send no debuginfo), and a successful write is ``null``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from flask import Response, g, request

if TYPE_CHECKING:
    from bridge.sandbox.totara import Totara

PATH = "/webservice/rest/server.php"
MAX_INPUT_VARS = 1000
VERSIONS = {"17": "2022110800.03", "19": "2024111200.01", "20": "2025111200.01"}

# What is taken: {"name": kind, "name?": optional}, [each]; the kinds are int, text, bool and username.
Spec = dict[str, Any] | list[Any] | str


class WsError(Exception):
    """A failure, by the three words the wire has for it."""

    def __init__(self, exception: str, errorcode: str, message: str) -> None:
        super().__init__(message)
        self.body = {"exception": exception, "errorcode": errorcode, "message": message}


def invalid_parameter() -> WsError:
    """The answer to a dozen different mistakes: a duplicate, a bad e-mail, an unknown key or course."""
    return WsError("invalid_parameter_exception", "invalidparameter", "Invalid parameter value detected")


def no_record() -> WsError:
    """Something asked for by its id isn't there."""
    return WsError("dml_missing_record_exception", "invalidrecordunknown", "Can not find data record in database.")


def no_permission(what: str) -> WsError:
    """The service account lacks a capability, which is named in words."""
    text = f"Sorry, but you do not currently have permissions to do that ({what})"
    return WsError("required_capability_exception", "nopermissions", text)


def no_access() -> WsError:
    """The function isn't in the service, or the service account may not use web services."""
    return WsError("webservice_access_exception", "accessexception", "Access control exception")


@dataclass
class Call:
    """One call: the site, and the two settings a caller may send beside the parameters."""

    totara: Totara
    raw: bool = False
    filtered: bool = False

    @property
    def site_url(self) -> str:
        """The address of the site as the caller knows it."""
        return request.host_url.rstrip("/")


@dataclass
class Function:
    """A web-service function: what it takes, and what it does. ``locks``: it takes the lock by itself."""

    spec: dict[str, Any]
    run: Callable[..., Any]
    locks: bool = False


FUNCTIONS: dict[str, Function] = {}


def function(name: str, spec: dict[str, Any], locks: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Register a web-service function."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS[name] = Function(spec, run, locks)
        return run

    return register


def install(totara: Totara) -> None:
    """Answer at the address of the REST server."""
    from bridge.sandbox import (  # noqa: F401 - they register
        totara_ws_audiences,
        totara_ws_completion,
        totara_ws_courses,
        totara_ws_users,
    )

    def server() -> Response:
        if not totara.web_services:
            return Response("", 403)
        pairs = sent_parameters()
        as_json = dict(pairs).get("moodlewsrestformat") == "json"
        try:
            result: Any = answer(totara, nested(pairs))
        except WsError as error:
            return json_response(error.body) if as_json else xml_response(error.body)
        return json_response(result) if as_json else xml_response(None)

    totara.app.add_url_rule(PATH, "ws", server, methods=["GET", "POST"])


def sent_parameters() -> list[tuple[str, str]]:
    """The parameters of the address and of the form; PHP drops those of each beyond a thousand."""
    query = parse_qsl(request.query_string.decode(), keep_blank_values=True)
    if request.mimetype == "multipart/form-data":
        form = list(request.form.items(multi=True))
    elif request.mimetype == "application/x-www-form-urlencoded":
        form = parse_qsl(request.get_data(as_text=True), keep_blank_values=True)
    else:
        form = []
    g.totara_pairs = query[:MAX_INPUT_VARS] + form[:MAX_INPUT_VARS]
    return list(g.totara_pairs)


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """PHP's reading of names: users[0][email]=x becomes {"users": {"0": {"email": "x"}}}."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        first, _, rest = name.partition("[")
        keys = [first, *re.findall(r"\[?([^\[\]]*)\]", rest)] if rest else [first]
        here = tree
        for key in keys[:-1]:
            below = here.get(key)
            if not isinstance(below, dict):
                below = here[key] = {}
            here = below
        here[keys[-1] or str(len(here))] = value
    return tree


def answer(totara: Totara, given: dict[str, Any]) -> Any:
    """Check the token and the service, read the parameters, run the function. Raises WsError."""
    settings = {key: given.pop(key, "") for key in ("wstoken", "wsfunction", "moodlewsrestformat")}
    raw, filtered = (given.pop(f"moodlewssetting{name}", "0") not in ("0", "") for name in ("raw", "filter"))
    given.pop("moodlewssettingfileurl", None)
    if settings["wstoken"] != totara.ws_token:
        raise WsError("moodle_exception", "invalidtoken", "Invalid token - token not found")
    if not totara.may_use_rest:
        raise no_access()
    name = settings["wsfunction"]
    if name not in functions_of(totara):
        raise no_record()
    if totara.ws_functions is not None and name not in totara.ws_functions:
        raise no_access()
    found = FUNCTIONS[name]
    parameters = read(found.spec, given)
    totara.note(f"ws {name}")
    with nullcontext() if found.locks else totara.lock:
        return found.run(Call(totara, raw, filtered), **parameters)


def functions_of(totara: Totara) -> set[str]:
    """The functions that the site has: those of the bridge's own plugin only where that is installed."""
    return {name for name in FUNCTIONS if totara.has_plugin or not name.startswith("auth_bridge_")}


def read(spec: Spec, value: Any) -> Any:
    """A parameter as the function wants it; what is unknown, missing or malformed is an invalid parameter."""
    if isinstance(spec, dict):
        if not isinstance(value, dict):
            raise invalid_parameter()
        wanted = {key.rstrip("?"): (key.endswith("?"), below) for key, below in spec.items()}
        if value.keys() - wanted.keys():
            raise invalid_parameter()
        if any(not optional and key not in value for key, (optional, _) in wanted.items()):
            raise invalid_parameter()
        return {key: read(wanted[key][1], below) for key, below in value.items()}
    if isinstance(spec, list):
        if not isinstance(value, dict):
            raise invalid_parameter()
        return [read(spec[0], below) for below in value.values()]
    return read_scalar(spec, value)


def read_scalar(kind: str, value: Any) -> Any:
    """One value by its kind."""
    if not isinstance(value, str):
        raise invalid_parameter()
    if kind == "int":
        if not re.fullmatch(r"\s*[+-]?\d+\s*", value):
            raise invalid_parameter()
        return int(value)
    if kind == "bool":
        if value.lower() not in ("0", "1", "true", "false", "on", "off", "yes", "no", ""):
            raise invalid_parameter()
        return value.lower() in ("1", "true", "on", "yes")
    if kind == "username" and not re.fullmatch(r"[a-z0-9_.@-]+", value):
        raise invalid_parameter()
    return value


def valid_email(address: str) -> bool:
    """Whether Totara would take this for an e-mail address."""
    return re.fullmatch(r"[^@\s<>,;:\"()\[\]\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", address) is not None


def json_response(body: Any) -> Response:
    """JSON as the REST server sends it."""
    answered = Response(json.dumps(body), mimetype="application/json")
    answered.headers["Cache-Control"] = "private, must-revalidate, pre-check=0, post-check=0, max-age=0"
    return answered


def xml_response(error: dict[str, str] | None) -> Response:
    """What a caller gets who forgets moodlewsrestformat=json: XML, of which only the errors are imitated."""
    if error is None:
        body = "<RESPONSE>\n</RESPONSE>"
    else:
        code, message = escape(error["errorcode"]), escape(error["message"])
        body = (
            f'<EXCEPTION class="{error["exception"]}">\n<ERRORCODE>{code}</ERRORCODE>\n'
            f"<MESSAGE>{message}</MESSAGE>\n</EXCEPTION>"
        )
    return Response(f'<?xml version="1.0" encoding="UTF-8" ?>\n{body}\n', mimetype="application/xml")


@function("core_webservice_get_site_info", {"serviceshortnames?": ["text"]})
def get_site_info(call: Call, serviceshortnames: list[str] | None = None) -> dict[str, Any]:
    """About the site, the service account, and the functions in the service."""
    totara = call.totara
    account = totara.users[3]
    version = VERSIONS.get(totara.version, VERSIONS["17"])
    there = functions_of(totara)
    names = sorted(there if totara.ws_functions is None else totara.ws_functions & there)
    features = {"usecomments": 1, "usetags": 1, "enablenotes": 1, "messaging": 1, "enableblogs": 0}
    features |= {"enablecompletion": 1, "enablebadges": 1}
    return {
        "sitename": totara.sitename,
        "username": account.username,
        "firstname": account.firstname,
        "lastname": account.lastname,
        "fullname": account.fullname,
        "lang": "en",
        "userid": account.id,
        "siteurl": call.site_url,
        "userpictureurl": f"{call.site_url}/theme/image.php/ventura/core/1/u/f1",
        "functions": [{"name": name, "version": version} for name in names],
        "downloadfiles": 1,
        "uploadfiles": 0,
        "release": "3.4.9 (Build: 20190513)",
        "version": version,
        "mobilecssurl": "",
        "advancedfeatures": [{"name": name, "value": value} for name, value in features.items()],
        "usercanmanageownfiles": True,
        "userquota": 104857600,
        "usermaxuploadfilesize": 67108864,
        "userhomepage": 105,
        "siteid": 1,
    }
