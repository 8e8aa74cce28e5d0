"""Hold the embedded Totara to what a real one answered.

The samples were recorded on a running Totara 17.3. Each is a request with its answer; here the same world
is built, the same request sent, and the answer compared: errors word for word, the rest by its keys and
types.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.sandbox.totara import Totara, User
from bridge.sandbox.world import picture

SAMPLES = Path(__file__).parent / "samples" / "totara"
THEN = 1795444800
LEARN = (
    '<p><span lang="en" class="multilang">Learn the basics.</span>'
    '<span lang="fr" class="multilang">Apprenez les bases.</span></p><script>alert(1)</script>'
    '<p>Tables &amp; <b>bold</b> <a href="https://lab.example/x">link</a></p>'
)


def sample(name: str) -> dict[str, Any]:
    """One recorded request with its answer."""
    found: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return found


def lab() -> Totara:
    """The installation the samples were recorded on, before the first of them."""
    totara = Totara(now=lambda: THEN)
    totara.sitename, totara.site_shortname = "Totara lab", "lab"
    for name in ("svc_api", "svc_weak"):
        totara.add_user(f"{name}@lab.example", username=name, firstname="Service", lastname=name)
    for name in ("Anna Andrews", "Ben Brown", "Cara Cole", "Dev Dale", "Eve East"):
        add_learner(totara, name.split()[0].lower(), name)
    totara.add_tenant("memberadmin", "Member administration courses")
    totara.add_tenant("academy", "Academy courses")
    add_learner(totara, "tom_mem", "Tom Member", "memberadmin")
    add_learner(totara, "amy_aca", "Amy Academy", "academy")
    add_learner(totara, "pat_part", "Pat Participant")
    titles = ("Public catalogue", "Enforcement (restricted)")
    public, restricted = (totara.add_category(title, description=f"<p>{title}</p>") for title in titles)
    fire = totara.add_category("Fire safety", parent=public, description="<p>Fire safety</p>")
    totara.add_category("Load test", description="<p>Load test</p>")

    def course(number: int, code: str, category: int, name: str, text: str, **more: Any) -> None:
        totara.next_ids["course"] = number
        idnumber = f"SKU-{code}"
        more = {"shortname": code, "idnumber": idnumber, "summary": f"<p>{text}</p>"} | more
        totara.add_course(name, category=category, **more)

    png = picture(0x808080, 4, 4)
    fire_png: dict[str, Any] = {"image": png, "image_name": "fire.png", "summary": LEARN, "tags": {"b", "c"}}
    course(2, "FIRE101", fire, "Fire safety essentials", "", **fire_png)
    course(3, "FIRE201", fire, "Fire risk assessment", "Assess and record fire risk.", tags={"a"})
    course(4, "GDPR101", public, 'Data protection & privacy "in practice"', "GDPR for busy people — with a quiz.")
    ten = "Ten lessons for a new manager."
    course(5, "MAN101", public, "First-time manager", ten, image=png, image_name="manager.png")
    course(6, "EXCEL1", public, "Excel für Einsteiger", "Ümlaut and emoji 🎓 test.")
    course(7, "HIDDEN1", public, "Hidden draft course", "Not released.", visible=0, audiencevisible=3)
    methods = ("totara_program", "totara_learningplan")
    no_manual = "Course with no manual enrolment"
    course(8, "NOMAN1", public, no_manual, "Self enrolment only.", enrol_methods=methods)
    officers: dict[str, Any] = {"audiencevisible": 1, "enrol_methods": ("manual", *methods, "cohort")}
    course(9, "ENF101", restricted, "Enforcement powers: level 1", "Restricted to officers.", **officers)
    course(10, "ENF201", restricted, "Enforcement powers: level 2", "Restricted to officers.", audiencevisible=1)
    course(11, "ENF301", restricted, "Covert operations", "Audience only.", audiencevisible=1)
    course(12, "ACA101", totara.tenants[2].category_id, "Academy induction", "For academy members.")
    mem = "Member services induction"
    course(13, "MEM101", totara.tenants[1].category_id, mem, "For member administration.")
    return totara


def add_learner(totara: Totara, username: str, name: str, tenant: str | None = None) -> None:
    """One of the lab's learners."""
    first, last = name.split()
    totara.add_user(
        f"{username}@members.example",
        username=username,
        firstname=first,
        lastname=last,
        idnumber=f"WP-{username}",
        tenant=tenant,
        city="Leeds" if username == "anna" else "",
    )


def with_wanda(totara: Totara) -> None:
    """The account the web-service samples work with."""
    totara.next_ids["user"] = 14
    totara.add_user(
        "ws445198@members.example",
        username="ws445198",
        firstname="Wendy",
        lastname="Service",
        idnumber="WP-445198",
    )


def with_wanda_enrolled(totara: Totara) -> None:
    """Wanda, suspended in course 2 and enrolled in some others."""
    with_wanda(totara)
    totara.enrol(14, 2, status="suspended")
    for course in (3, 7, 10):
        totara.enrol(14, course)


def with_wanda_active(totara: Totara) -> None:
    """Wanda, enrolled in courses 2, 7 (hidden) and 10."""
    with_wanda(totara)
    for course in (2, 7, 10):
        totara.enrol(14, course)


def with_two_wandas(totara: Totara) -> None:
    """Two accounts whose e-mails differ in case only."""
    with_wanda(totara)
    totara.add_user("WS445198@MEMBERS.EXAMPLE", username="y445198", firstname="Wanda", lastname="Service")


def without_wanda(totara: Totara) -> None:
    """The next account gets the number 14."""
    totara.next_ids["user"] = 14


def with_wanda_deleted(totara: Totara) -> None:
    """Wanda, deleted."""
    with_wanda(totara)
    totara.delete_user(totara.users[14])


def with_anna_complete(totara: Totara) -> None:
    """Anna, enrolled in courses 2 and 3 and complete."""
    for course in (2, 3):
        totara.enrol(6, course)
        totara.complete(6, course)


def with_anna_expired(totara: Totara) -> None:
    """Anna, whose enrolment in course 2 is over."""
    totara.enrol(6, 2, timestart=THEN - 7200, timeend=THEN - 3600)
    totara.enrol(6, 3)


def with_anna_suspended(totara: Totara) -> None:
    """Anna, suspended in course 2."""
    totara.enrol(6, 2, status="suspended")


def with_ben_suspended(totara: Totara) -> None:
    """Anna and Ben in course 2; Ben's account is suspended."""
    totara.users[7].suspended = True
    totara.enrol(6, 2)
    totara.enrol(7, 2)


def with_amy_enrolled(totara: Totara) -> None:
    """Amy of the academy, enrolled in its course, a system course and another tenant's."""
    for course in (2, 12, 13):
        totara.enrol(12, course)
    for user in (6, 13):
        totara.enrol(user, 12)


def isolated(prepare: Callable[[Totara], None]) -> Callable[[Totara], None]:
    """The same world with tenant isolation."""

    def and_isolated(totara: Totara) -> None:
        prepare(totara)
        totara.isolation = True

    return and_isolated


def with_officers(totara: Totara) -> None:
    """The audience of the officers, which Ben is in."""
    totara.add_audience("Enforcement officers", idnumber="officers", members=[7])


def with_dev_an_officer(totara: Totara) -> None:
    """Dev is in the audience too."""
    with_officers(totara)
    totara.add_member(3, 9)


def with_ben_alone(totara: Totara) -> None:
    """An audience that holds the account with the number 8 and nobody else."""
    totara.add_audience("Enforcement officers", idnumber="officers", members=[8])


def with_a_program(totara: Totara) -> None:
    """The first program."""
    totara.add_program("Fire", shortname="FIRE", courses=[2, 3])


def with_dev_assigned(totara: Totara) -> None:
    """Dev is assigned to it."""
    with_a_program(totara)
    totara.assign(1, user=9)


def as_it_is(totara: Totara) -> None:
    """Nothing to prepare."""


def with_wrong_token(totara: Totara) -> None:
    """The service's token was changed."""
    totara.ws_token = "another"


def with_the_plugin(totara: Totara) -> None:
    """The bridge's plugin is there, and so are a learner of the whole site and one of the academy's."""
    totara.has_plugin = True
    totara.visited.add((2, 4))
    totara.next_ids["user"] = 112
    add_learner(totara, "mia", "Mia Member", "academy")


def with_the_academy_suspended(totara: Totara) -> None:
    """Nobody of the academy gets in."""
    with_the_plugin(totara)
    totara.tenants[2].suspended = True


def without_a_look_at_accounts(totara: Totara) -> None:
    """The plugin is there, and the account may not ask it."""
    with_the_plugin(totara)
    totara.lacking.add("auth/bridge:lookataccount")


def without_rest(totara: Totara) -> None:
    """The account may not use web services."""
    totara.may_use_rest = False


def without_access_to_2(totara: Totara) -> None:
    """The account may not enter course 2."""
    totara.courses[2].enterable = False


STEPS = ["First step", "Second step", "Third step"]


def with_steps(done: int, *lacking: str) -> Callable[[Totara], None]:
    """A course of three activities, so many of them done by its learner, and a certificate that waits for the last."""

    def prepare(totara: Totara) -> None:
        totara.next_ids |= {"course": 17, "user": 180}
        course = totara.add_course("Three steps", shortname="PROGRESS1", category=1, lessons=STEPS)
        totara.courses[course].certificate = "Certificate of completion"
        ola = totara.add_user("ola@lab.invalid", username="ola", firstname="Ola", lastname="Learner")
        totara.enrol(ola, course)
        for step in STEPS[:done]:
            totara.finish(ola, course, step)
        totara.may_update_courses = False
        totara.lacking |= set(lacking)

    return prepare


CERTIFICATES, HIDDEN_ACTIVITIES = "mod/certificate:view", "moodle/course:viewhiddenactivities"

WEB_SERVICES: dict[str, Callable[[Totara], None]] = {
    "iso0-courses-svc_academy": without_access_to_2,
    "iso0-create-user-svc_bridge": as_it_is,
    "iso0-enrol-nonparticipant-in-t2course": as_it_is,
    "iso0-enrol-t2member-in-system-course": as_it_is,
    "iso0-enrol-t2member-in-t1course": as_it_is,
    "iso0-users-courses-t2member": with_amy_enrolled,
    "iso1-enrol-own-svc_academy": without_rest,
    "iso1-enrol-t2member-in-system-course": isolated(as_it_is),
    "iso1-enrol-t2member-in-t1course": isolated(as_it_is),
    "iso1-users-all-svc_bridge": isolated(as_it_is),
    "iso1-users-courses-t2member": isolated(with_amy_enrolled),
    "ws-bad-function": as_it_is,
    "ws-bad-param": as_it_is,
    "ws-bad-token": with_wrong_token,
    "ws-categories": as_it_is,
    "ws-cohort-add": with_officers,
    "ws-cohort-add-again": with_dev_an_officer,
    "ws-cohort-add-tenant-cohort": as_it_is,
    "ws-cohort-add-unknown": with_officers,
    "ws-cohort-create": with_officers,
    "ws-cohort-delete": with_dev_an_officer,
    "ws-cohort-members": with_ben_alone,
    "ws-cohorts": with_officers,
    "ws-cohorts-all": with_officers,
    "ws-completion-after-reenrol": with_anna_complete,
    "ws-completion-complete": with_anna_complete,
    "ws-completion-enrolled": with_wanda_active,
    "ws-completion-expired-enrolment": with_anna_expired,
    "ws-completion-not-enrolled": with_wanda_active,
    "ws-completion-suspended-enrolment": with_anna_suspended,
    "ws-completion-suspended-user": with_ben_suspended,
    "ws-completion-none": with_steps(0),
    "ws-completion-one-of-three": with_steps(1),
    "ws-completion-three-of-three": with_steps(3),
    "ws-course-contents-all": with_steps(2),
    "ws-course-contents-certificate": with_steps(2),
    "ws-course-contents-restricted": with_steps(2, HIDDEN_ACTIVITIES),
    "ws-course-contents-unknown": as_it_is,
    "ws-course-contents-without-rights": with_steps(0, CERTIFICATES, HIDDEN_ACTIVITIES),
    "ws-courses-12": as_it_is,
    "ws-courses-by-field-all": as_it_is,
    "ws-courses-by-field-one": as_it_is,
    "ws-courses-by-field-unknown": as_it_is,
    "ws-courses-unknown-id": as_it_is,
    "ws-create-users": without_wanda,
    "ws-create-users-auth-oauth2": with_wanda,
    "ws-create-users-dup-email": with_wanda,
    "ws-create-users-dup-email-case": with_wanda,
    "ws-create-users-dup-idnumber": with_wanda,
    "ws-create-users-dup-username": with_wanda,
    "ws-create-users-email-as-username": with_wanda,
    "ws-create-users-no-password-createpassword": with_wanda,
    "ws-create-users-tenant-param": as_it_is,
    "ws-create-users-upper-username": as_it_is,
    "ws-create-users-weak-password": as_it_is,
    "ws-delete-users": with_wanda,
    "ws-delete-users-again": with_wanda_deleted,
    "ws-enrol": with_wanda,
    "ws-enrol-again": with_wanda_active,
    "ws-enrol-bad-role": with_wanda,
    "ws-enrol-batch-one-bad": with_wanda,
    "ws-enrol-expired": as_it_is,
    "ws-enrol-hidden-course": with_wanda,
    "ws-enrol-no-manual": with_wanda,
    "ws-enrol-restricted-course": with_wanda,
    "ws-enrol-suspend": with_wanda_active,
    "ws-enrol-suspended-user": with_ben_suspended,
    "ws-enrol-timeend": with_wanda,
    "ws-enrol-unknown-course": with_wanda,
    "ws-enrol-unknown-user": with_wanda,
    "ws-enrol-unsuspend": with_wanda_enrolled,
    "ws-enrolled-users-course2": with_wanda_enrolled,
    "ws-enrolled-users-onlyactive": with_wanda_enrolled,
    "ws-enrolled-users-with-suspended-user": with_ben_suspended,
    "ws-get-users-by-email": with_two_wandas,
    "ws-get-users-by-field-email-case": as_it_is,
    "ws-get-users-by-field-idnumber": as_it_is,
    "ws-get-users-by-field-none": as_it_is,
    "ws-get-users-tenant-user": as_it_is,
    "ws-get-users-two": as_it_is,
    "ws-get-users-wildcard": as_it_is,
    "ws-look-at-account-administrator": with_the_plugin,
    "ws-look-at-account-learner": with_the_plugin,
    "ws-look-at-account-member": with_the_plugin,
    "ws-look-at-account-no-capability": without_a_look_at_accounts,
    "ws-look-at-account-suspended-tenant": with_the_academy_suspended,
    "ws-look-at-account-unknown": with_the_plugin,
    "ws-no-rest-capability": without_rest,
    "ws-program-assign": with_a_program,
    "ws-program-assign-again": with_dev_assigned,
    "ws-program-filter": with_dev_assigned,
    "ws-reenrol-completed": with_anna_complete,
    "ws-search-by-tag": as_it_is,
    "ws-search-courses": as_it_is,
    "ws-site-info": as_it_is,
    "ws-suspend-user": as_it_is,
    "ws-unenrol": with_wanda_enrolled,
    "ws-unenrol-again": with_wanda,
    "ws-unenrol-unknown-course": with_wanda,
    "ws-unenrol-unknown-user": as_it_is,
    "ws-update-users-suspend": with_wanda,
    "ws-update-users-unknown": as_it_is,
    "ws-users-courses": with_wanda_active,
    "ws-users-courses-after-suspend": with_wanda_enrolled,
    "ws-users-courses-expired": with_anna_expired,
}
# Answers in which only numbers of the installation, times and pictures may differ; the rest word for word.
TO_THE_LETTER = {
    "iso0-users-courses-t2member",
    "iso1-users-courses-t2member",
    "ws-categories",
    "ws-cohort-add",
    "ws-cohort-add-again",
    "ws-cohort-add-tenant-cohort",
    "ws-cohort-add-unknown",
    "ws-cohort-members",
    "ws-cohorts",
    "ws-completion-enrolled",
    "ws-completion-none",
    "ws-courses-by-field-all",
    "ws-courses-by-field-one",
    "ws-enrolled-users-course2",
    "ws-enrolled-users-with-suspended-user",
    "ws-get-users-by-field-idnumber",
    "ws-get-users-tenant-user",
    "ws-look-at-account-administrator",
    "ws-look-at-account-learner",
    "ws-look-at-account-member",
    "ws-look-at-account-suspended-tenant",
    "ws-search-by-tag",
    "ws-search-courses",
    "ws-users-courses",
    "ws-users-courses-after-suspend",
    "ws-users-courses-expired",
}
CHANGING = {
    *(
        "timecreated",
        "timemodified",
        "cacherev",
        "filesize",
        "fileurl",
        "firstaccess",
        "lastaccess",
        "city",
        "value",
    ),
    *("profileimageurl", "profileimageurlsmall", "enrolledusercount", "siteurl", "userpictureurl"),
}


def shape(value: Any) -> Any:
    """What a value looks like: its keys and the types of what they hold, without the contents."""
    if isinstance(value, dict):
        return {key: shape(below) for key, below in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__


def agree(ours: Any, real: Any, where: str = "answer") -> None:
    """Assert that our answer has the shape of the real one.

    Of lists the elements must look like recorded ones.
    """
    if isinstance(real, dict):
        assert isinstance(ours, dict), where
        # A key that only some of the recorded accounts have, as "city", isn't missed.
        assert ours.keys() - {"city"} == real.keys() - {"city"}, where
        for key in real:
            if key in ours:
                agree(ours[key], real[key], f"{where}.{key}")
    elif isinstance(real, list):
        assert isinstance(ours, list), where
        assert bool(ours) == bool(real), where
        for number, each in enumerate(ours):
            agree(each, closest(each, real), f"{where}[{number}]")
    else:
        assert type(ours) is type(real), f"{where}: {ours!r} for {real!r}"


def closest(ours: Any, real: list[Any]) -> Any:
    """The recorded element for one of ours: the one with its id, or with its shape, or the first."""
    if isinstance(ours, dict):
        for key in ("id", "name"):
            for each in real:
                if key in ours and each.get(key) == ours[key]:
                    return each
    return next((each for each in real if shape(each) == shape(ours)), real[0])


def unchanging(value: Any) -> Any:
    """A value without what differs from one installation to the next."""
    if isinstance(value, dict):
        return {key: unchanging(below) for key, below in value.items() if key not in CHANGING}
    return [unchanging(each) for each in value] if isinstance(value, list) else value


# Errors of functions, and of tenant clients, that are not imitated; kept for whoever reads answers.
NOT_IMITATED = {
    "gql-tenant-iso0-create",
    "gql-tenant-iso0-create-other",
    "ws-catalog-template-data",
    "ws-competency-get-courses",
}


def test_no_recorded_error_is_left_untried() -> None:
    recorded = {path.stem for path in SAMPLES.glob("ws-*.json")}
    recorded = {name for name in recorded if "exception" in str(sample(name).get("response"))}
    assert recorded <= WEB_SERVICES.keys() | NOT_IMITATED
    errors = {path.stem for path in SAMPLES.glob("gql-*.json")}
    errors = {name for name in errors if "errors" in (sample(name)["response"] or ())}
    assert errors <= GRAPHQL.keys() | NOT_IMITATED | {"gql-rate-limit"}


@pytest.mark.parametrize("name", WEB_SERVICES)
def test_a_web_service_answers_as_recorded(name: str) -> None:
    recorded = sample(name)
    totara = lab()
    token = totara.ws_token
    WEB_SERVICES[name](totara)
    answer = totara.app.test_client().open(
        recorded["request"]["path"],
        method=recorded["request"]["method"],
        data=f"{recorded['request']['body']}&wstoken={token}",
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code == recorded["http_status"]
    assert answer.mimetype == "application/json"
    real = recorded["response"]
    if isinstance(real, dict) and "exception" in real:
        assert answer.json == real
    elif name in TO_THE_LETTER:
        assert unchanging(answer.json) == unchanging(real)
    agree(answer.json, real)


def test_the_settings_beside_the_parameters_change_texts_as_recorded() -> None:
    client = lab().app.test_client()
    for settings, expected in sample("ws-moodlewssetting-variants").items():
        pairs = [part.strip("[]() '") for part in settings.split(",")] if settings != "[]" else []
        extra = dict(zip(pairs[::2], pairs[1::2], strict=True))
        data = {
            "wstoken": "sandbox-ws-token",
            "wsfunction": "core_course_get_courses",
            "moodlewsrestformat": "json",
        }
        answer = client.post("/webservice/rest/server.php", data=data | {"options[ids][0]": 2} | extra).json
        assert answer is not None
        if "exception" in expected:
            assert answer == expected
        else:
            assert {key: answer[0][key] for key in expected} == expected


def with_gina(totara: Totara) -> None:
    """The account the GraphQL samples work with."""
    totara.next_ids["user"] = 20
    totara.add_user(
        "gq445240@members.example",
        username="gq445240",
        firstname="Gina",
        lastname="Query",
        idnumber="WP-G445240",
    )


def seen(prepare: Callable[[Totara], None]) -> Callable[[Totara], None]:
    """The same world with an account that may see e-mails."""

    def and_seen(totara: Totara) -> None:
        prepare(totara)
        totara.email_visible = True

    return and_seen


def number_next(number: int, *more: Callable[[Totara], None]) -> Callable[[Totara], None]:
    """A world in which the next account gets this number."""

    def prepare(totara: Totara) -> None:
        for each in more:
            each(totara)
        totara.next_ids["user"] = number

    return prepare


def with_oauth2_account(totara: Totara) -> None:
    """An account that signs in elsewhere."""
    totara.next_ids["user"] = 18
    totara.add_user("oa445198@members.example", username="oa445198", auth="oauth2")


def with_gp(totara: Totara) -> None:
    """An account to be changed."""
    totara.add_user("gp445240@members.example", username="gp445240")


def with_gz(totara: Totara) -> None:
    """An account to be deleted."""
    totara.next_ids["user"] = 21
    totara.add_user("GQ445240@MEMBERS.example", username="gz445240")


GRAPHQL: dict[str, Callable[[Totara], None]] = {
    "gql-aliased-mutations-partial-error": as_it_is,
    "gql-bad-query": as_it_is,
    "gql-bad-token": Totara.revoke_tokens,
    "gql-create-user": number_next(20),
    "gql-create-user-bad-tenant": as_it_is,
    "gql-create-user-dup-email": number_next(21, with_gina),
    "gql-create-user-dup-email-same-case": as_it_is,
    "gql-create-user-dup-idnumber": with_gina,
    "gql-create-user-dup-username": with_gina,
    "gql-create-user-generate-password": number_next(22),
    "gql-create-user-missing-required": as_it_is,
    "gql-create-user-no-password": as_it_is,
    "gql-create-user-oauth2": as_it_is,
    "gql-create-user-oauth2-generate": as_it_is,
    "gql-create-user-oauth2-with-password": as_it_is,
    "gql-create-user-tenant": number_next(23),
    "gql-create-user-weak-password": as_it_is,
    "gql-delete-admin": as_it_is,
    "gql-delete-user": with_gz,
    "gql-depth-error": as_it_is,
    "gql-iso1-system-create-tenant-user": isolated(seen(number_next(598))),
    "gql-iso1-system-update-tenant-user": isolated(seen(as_it_is)),
    "gql-move-tenant": as_it_is,
    "gql-no-token": as_it_is,
    "gql-suspend-oauth2-user": with_oauth2_account,
    "gql-update-user": seen(with_gina),
    "gql-update-user-auth": with_gp,
    "gql-update-user-by-email-case": as_it_is,
    "gql-update-user-empty-lookup": seen(as_it_is),
    "gql-update-user-not-found": as_it_is,
}


def post_graphql(totara: Totara, sent: Any, token: str) -> Any:
    """Send something to the API, with a token if there is one."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return totara.app.test_client().post("/api/graphql.php", json=sent, headers=headers)


def token_of(totara: Totara) -> str:
    """A token for the API."""
    form = {"grant_type": "client_credentials", "client_id": totara.client_id}
    form["client_secret"] = totara.client_secret
    answer = totara.app.test_client().post("/totara/oauth2/token.php", data=form)
    return str(json.loads(answer.text)["access_token"])


@pytest.mark.parametrize("name", GRAPHQL)
def test_the_graphql_api_answers_as_recorded_word_for_word(name: str) -> None:
    recorded = sample(name)
    sent = recorded["request"]
    totara = lab()
    token = token_of(totara) if name != "gql-no-token" else ""
    GRAPHQL[name](totara)
    answer = post_graphql(totara, {"query": sent} if isinstance(sent, str) else sent, token)
    assert answer.status_code == recorded.get("http_status", 200)
    assert answer.content_type == "application/json; charset=utf-8"
    assert answer.json == recorded["response"]


def test_the_status_is_given_in_the_format_asked_for() -> None:
    totara = lab()
    answer = post_graphql(totara, sample("gql-status")["request"], token_of(totara))
    agree(answer.json, sample("gql-status")["response"])


def test_a_batch_is_answered_with_a_list() -> None:
    totara = lab()
    queries = ("query { totara_webapi_status { status } }", "query { core_user_users { total } }")
    answer = post_graphql(totara, [{"query": query} for query in queries], token_of(totara))
    agree(answer.json, sample("gql-batch")["response"])


def test_a_first_page_of_users_leaves_out_the_field_that_is_not_there() -> None:
    totara = Totara()
    for name in ("svc_api", "svc_weak"):
        totara.add_user(f"{name}@lab.example", username=name, firstname="Service", lastname=name)
    totara.users[2].email = "admin@lab.example"
    totara.users[4].maildisplay = 1
    recorded = sample("gql-users-first")
    assert post_graphql(totara, recorded["request"], token_of(totara)).json == recorded["response"]


def test_a_page_ends_with_a_cursor_that_holds_the_limit_and_the_sorted_column() -> None:
    totara = lab()
    totara.email_visible = True
    # The installation's accounts at that moment: 21 of them, those changed last first.
    for user in totara.users.values():
        user.timemodified = 1795445000
    recorded = sample("gql-users-page1")["response"]["data"]["core_user_users"]
    for number, item in enumerate(recorded["items"]):
        user = User(int(item["id"]), item["username"], item["email"], timemodified=1795445202 - number)
        totara.users[user.id] = user
    for number in range(30, 30 + 21 - len(totara.users)):
        totara.users[number] = User(number, f"u{number}", f"u{number}@members.example", timemodified=1795445000)
    answer = post_graphql(totara, sample("gql-users-page1")["request"], token_of(totara))
    assert answer.json["data"]["core_user_users"] == recorded


def test_isolation_hides_members_from_the_list_of_a_system_client() -> None:
    totara = lab()
    for isolation in (False, True):
        totara.isolation = isolation
        recorded = sample(f"gql-system-iso{int(isolation)}-users")
        answer = post_graphql(totara, recorded["request"], token_of(totara)).json["data"]["core_user_users"]
        listed = {user["username"] for user in answer["items"]}
        assert answer["total"] == len(listed)
        real = {user["username"] for user in recorded["response"]["data"]["core_user_users"]["items"]}
        assert {"tom_mem", "amy_aca"} & listed == {"tom_mem", "amy_aca"} & real


def test_too_many_requests_are_refused_as_recorded() -> None:
    totara = lab()
    totara.faults.rate_limited("core_user_users", times=1)
    answer = post_graphql(totara, {"query": "{ core_user_users { total } }"}, token_of(totara))
    assert answer.status_code == sample("gql-rate-limit")["http_status"]
    assert answer.json == sample("gql-rate-limit")["response"]
    assert "Retry-After" not in answer.headers


def test_tokens_are_given_and_refused_as_recorded() -> None:
    totara = lab()
    client = totara.app.test_client()
    form = {"grant_type": "client_credentials", "client_id": totara.client_id, "client_secret": "wrong"}

    def body_of(name: str) -> Any:
        text = (SAMPLES / f"gql-token-{name}.txt").read_text()
        return json.loads(next(line for line in text.splitlines() if line.startswith("{")))

    refused = client.post("/totara/oauth2/token.php", data=form)
    assert refused.status_code == 200
    assert refused.content_type == "text/html; charset=utf-8"
    assert json.loads(refused.text) == body_of("wrong-secret")
    as_json = client.post("/totara/oauth2/token.php", json=form | {"client_secret": totara.client_secret})
    assert as_json.status_code == 200
    assert json.loads(as_json.text) == body_of("json-body")
    given = client.post("/totara/oauth2/token.php", data=form | {"client_secret": totara.client_secret})
    assert given.content_type == "text/html; charset=utf-8"
    assert given.headers["Set-Cookie"].startswith("TotaraSession=")
    ours, real = json.loads(given.text), body_of("response")
    assert shape(ours) == shape(real)
    assert ours["expires_in"] == real["expires_in"]
