"""Letters on their way: to a real SMTP server on this machine, which may refuse, vanish or be somebody else."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import compat32
from email.policy import default as modern
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.domain.letters import REASONS, CourseLine, Letter, Message
from bridge.errors import BridgeError, Refused, Unauthorized, Unavailable
from bridge.http import Breaker
from bridge.letters.render import Letters
from bridge.mail import Mailer, Post, Sender, mailable, message_id
from bridge.sandbox.smtp import Smtp
from bridge.settings import load
from bridge.wiring import Bridge
from tests.test_settings import run

LEARNER = "marie@example.org"
SENDER = Sender("learning@example.org", "Customs Academy")


class Inbox:
    """What the server is told, and what it answers: an answer of a stage replaces the server's own."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.answers: dict[str, str] = {}
        self.logins: list[tuple[bytes, bytes]] = []
        self.encrypted: list[bool] = []
        self.greetings: list[str] = []
        self.vanish_at = ""

    def _stage(self, server: Any, stage: str) -> str | None:
        if stage == self.vanish_at:
            server.transport.abort()
            return "451 heard by nobody"
        return self.answers.get(stage)

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        answer = self._stage(server, "MAIL")
        if answer:
            return answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        answer = self._stage(server, "RCPT")
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self._stage(server, "DATA")
        if answer:
            return answer
        mail = message_from_bytes(envelope.content, policy=modern)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.envelopes.append(envelope)
        self.greetings.append(session.host_name)
        self.encrypted.append(session.ssl is not None)
        if self.vanish_at == "taken":
            server.transport.abort()
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
        self.logins.append((data.login, data.password))
        if "AUTH" in self.answers:
            return AuthResult(success=False, handled=False, message=self.answers["AUTH"])
        return AuthResult(success=data.password == b"SECRETWORD", handled=False)


class Server(Smtp):
    """The sandbox's, with an inbox that answers as it is told."""

    def __init__(self, inbox: Inbox, **options: Any) -> None:
        super().__init__(inbox, **options)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve(inbox: Inbox) -> Iterator[Callable[..., Server]]:
    """Starts servers that share the inbox."""
    running: list[Server] = []

    def start(**options: Any) -> Server:
        running.append(Server(inbox, **options))
        running[-1].start()
        return running[-1]

    yield start
    for server in running:
        server.stop()


def post_to(server: Server, **options: Any) -> Post:
    options.setdefault("security", "none")
    options.setdefault("timeout", 5.0)
    return Post("127.0.0.1", server.port, **options)


def mailer_to(server: Server, sender: Sender = SENDER, **options: Any) -> Mailer:
    letters = Letters(site="https://learn.example.org", sender="Customs Academy", replies=bool(sender.reply_to))
    return Mailer(letters, post_to(server, **options), sender)


def letter(kind: Letter = Letter.READY, to: str = LEARNER, name: str = "Marie", language: str = "en") -> Message:
    course = CourseLine("Règles d’origine", "https://learn.example.org/course/view.php?id=7", dt.datetime.now(dt.UTC))
    return Message(kind, to, name, language, (course,), next(iter(REASONS[kind]), None), ("1041",))


def as_shown(inbox: Inbox, header: str) -> str:
    """A header of the last letter as RFC 2047 has it read; the newer parser puts spaces into long names."""
    raw = inbox.envelopes[-1].original_content
    assert isinstance(raw, bytes)
    return str(make_header(decode_header(message_from_bytes(raw, policy=compat32)[header])))


def no_person_in(error: BaseException | None, caplog: pytest.LogCaptureFixture) -> bool:
    """Neither the error, nor what it was raised from, nor the log tells an address or a password."""
    told = caplog.text + "".join(record.getMessage() for record in caplog.records if record.name.startswith("bridge"))
    while error is not None:
        told += repr(error) + str(error)
        error = error.__cause__
    told = "\n".join(line for line in told.splitlines() if "mail.log" not in line)
    return LEARNER not in told and "example.org" not in told and "SECRETWORD" not in told


# --- what arrives ------------------------------------------------------------------------------------------------


def test_a_letter_arrives_as_text_and_html_with_honest_headers(inbox: Inbox, serve: Callable[..., Server]) -> None:
    mailer_to(serve(), Sender("learning@example.org", "Customs Academy", "help@example.org")).send(
        letter(language="fr"), key="ready 17 41"
    )
    (mail,) = inbox.mails
    (envelope,) = inbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("learning@example.org", [LEARNER])
    assert mail["From"] == "Customs Academy <learning@example.org>"
    assert mail["To"] == f"Marie <{LEARNER}>"
    assert mail["Reply-To"] == "help@example.org"
    assert mail["Subject"] == "Votre accès à « Règles d’origine » est ouvert"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "fr"
    assert mail["MIME-Version"] == "1.0"
    assert abs(mail["Date"].datetime - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text, html = mail.iter_parts()
    assert "Bonjour Marie," in text.get_content()
    assert '<html lang="fr"' in html.get_content()
    assert "répondre à ce message" in text.get_content()


def test_what_goes_over_the_wire_is_ascii_in_lines_that_every_server_takes(
    inbox: Inbox, serve: Callable[..., Server]
) -> None:
    mailer_to(serve(), Sender("learning@example.org", "Académie douanière")).send(
        letter(name="Zoë Müller", language="fr"), key="1"
    )
    raw = inbox.envelopes[0].original_content
    assert isinstance(raw, bytes)
    assert raw.isascii()
    assert max(len(line) for line in raw.splitlines()) <= 100
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert inbox.mails[0]["To"].addresses[0].display_name == "Zoë Müller"
    assert inbox.mails[0]["From"].addresses[0].display_name == "Académie douanière"


def test_the_same_key_gives_the_same_message_id_and_another_key_another(
    inbox: Inbox, serve: Callable[..., Server]
) -> None:
    mailer = mailer_to(serve())
    for key in ("ready 17 41", "ready 17 41", "ready 17 42"):
        mailer.send(letter(), key=key)
    first, again, other = [mail["Message-ID"] for mail in inbox.mails]
    assert first == again == message_id("ready 17 41", "x@example.org")
    assert other != first
    assert re.fullmatch(r"<[0-9a-f]{40}@example\.org>", first)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Marie\r\nBcc: victim@example.net", ""),
        ("Marie\nDupont", "Marie Dupont"),
        ('Marie "La Douane" Dupont', "Marie La Douane Dupont"),
        ("Dupont, Marie", "Dupont Marie"),
        ("Дупон; Мария", "Дупон Мария"),
        ("李小龍", "李小龍"),
        ("Marie\x00\x1b[31m", "Marie 31m"),
        ("Müller, " + "ü" * 45, "Müller " + "ü" * 45),
    ],
)
def test_a_name_can_not_add_a_header_or_a_recipient(
    name: str, shown: str, inbox: Inbox, serve: Callable[..., Server]
) -> None:
    mailer_to(serve()).send(letter(name=name), key="1")
    (mail,) = inbox.mails
    assert [address.addr_spec for address in mail["To"].addresses] == [LEARNER]
    assert as_shown(inbox, "To") == (f"{shown} <{LEARNER}>" if shown else LEARNER)
    assert mail["Bcc"] is None
    assert inbox.envelopes[0].rcpt_tos == [LEARNER]


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("marie@müller.example", "marie@xn--mller-kva.example"),
        ("marie@Straße.example", "marie@xn--strae-oqa.example"),
        ("Marie.O'Neill+x@Example.ORG", "Marie.O'Neill+x@example.org"),
        (" marie@example.org ", "marie@example.org"),
    ],
)
def test_an_address_in_any_script_is_sent_in_the_form_that_servers_take(
    typed: str, sent: str, inbox: Inbox, serve: Callable[..., Server]
) -> None:
    assert mailable(typed) == sent
    mailer_to(serve()).send(letter(to=typed), key="1")
    assert inbox.envelopes[0].rcpt_tos == [sent]
    assert inbox.mails[0]["To"].addresses[0].addr_spec == sent


@pytest.mark.parametrize(
    "address",
    ["", "marie", "@example.org", "marie@", "a@b@example.org", "marie@example.org\r\nRCPT TO:<x@example.net>",
     "marie@example.org,x@example.net", "<marie@example.org>", "marie@exa mple.org", "marie@localhost",
     "marie\n@example.org", "x" * 65 + "@example.org", "marie@-.example", "marie@[127.0.0.1]"],
)  # fmt: skip
def test_what_is_no_address_is_refused_before_anybody_is_called(
    address: str, inbox: Inbox, serve: Callable[..., Server]
) -> None:
    mailer = mailer_to(serve())
    with pytest.raises(Refused, match="no address that mail could be sent to") as caught:
        mailer.send(letter(to=address), key="1")
    assert not address.strip() or address not in str(caught.value)
    assert inbox.envelopes == []


def test_an_address_beyond_ascii_is_sent_where_the_server_takes_it_and_refused_elsewhere(
    inbox: Inbox, serve: Callable[..., Server]
) -> None:
    mailer_to(serve(enable_SMTPUTF8=True)).send(letter(to="zoë@example.org"), key="1")
    assert inbox.envelopes[0].rcpt_tos == ["zoë@example.org"]
    with pytest.raises(Refused, match="beyond ASCII"):
        mailer_to(serve(enable_SMTPUTF8=False)).send(letter(to="zoë@example.org"), key="1")
    assert len(inbox.mails) == 1


# --- encryption --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for this machine that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> Callable[[], ssl.SSLContext]:
    """What an operator's own authority looks like: the usual context with it in."""
    return lambda: ssl.create_default_context(cafile=str(certificate))


def test_a_letter_goes_encrypted_by_starttls(
    inbox: Inbox, serve: Callable[..., Server], server_tls: ssl.SSLContext, trusting: Callable[[], ssl.SSLContext]
) -> None:
    server = serve(tls_context=server_tls, require_starttls=True)
    mailer_to(server, security="starttls", trust=trusting).send(letter(), key="1")
    assert inbox.encrypted == [True]


def test_a_letter_goes_encrypted_from_the_first_byte(
    inbox: Inbox, serve: Callable[..., Server], server_tls: ssl.SSLContext, trusting: Callable[[], ssl.SSLContext]
) -> None:
    server = serve(ssl_context=server_tls)
    # Controller.start() has a look itself, in the clear.
    mailer_to(server, security="tls", trust=trusting).send(letter(), key="1")
    assert len(inbox.mails) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_said(
    security: str,
    inbox: Inbox,
    serve: Callable[..., Server],
    server_tls: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = {"tls_context": server_tls} if security == "starttls" else {"ssl_context": server_tls}
    server = serve(authenticator=inbox.authenticate, auth_require_tls=False, **options)
    mailer = mailer_to(server, security=security, username="bridge", password="SECRETWORD")
    with pytest.raises(Unavailable, match="certificate is not trusted") as caught:
        mailer.send(letter(), key="1")
    assert inbox.mails == []
    assert inbox.logins == []
    assert no_person_in(caught.value, caplog)


def test_a_certificate_of_another_host_is_refused(
    inbox: Inbox, serve: Callable[..., Server], server_tls: ssl.SSLContext, trusting: Callable[[], ssl.SSLContext]
) -> None:
    server = serve(tls_context=server_tls)
    post = Post("localhost", server.port, security="starttls", timeout=5.0, trust=trusting)
    with pytest.raises(Unavailable, match="certificate is not trusted"):
        post.check()


def test_a_server_that_offers_no_encryption_gets_neither_letter_nor_password(
    inbox: Inbox, serve: Callable[..., Server]
) -> None:
    server = serve(authenticator=inbox.authenticate, auth_require_tls=False)
    mailer = mailer_to(server, security="starttls", username="bridge", password="SECRETWORD")
    with pytest.raises(Unavailable, match="does not offer STARTTLS"):
        mailer.send(letter(), key="1")
    assert (inbox.mails, inbox.logins) == ([], [])


# --- the login ---------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(
    inbox: Inbox, serve: Callable[..., Server], server_tls: ssl.SSLContext, trusting: Callable[[], ssl.SSLContext]
) -> Callable[..., Mailer]:
    """Mailers to a server that wants encryption and a login."""
    server = serve(tls_context=server_tls, authenticator=inbox.authenticate, auth_required=True)
    return lambda **options: mailer_to(server, security="starttls", trust=trusting, **options)


def test_a_letter_is_sent_after_the_login(inbox: Inbox, guarded: Callable[..., Mailer]) -> None:
    guarded(username="bridge", password="SECRETWORD").send(letter(), key="1")
    assert inbox.logins == [(b"bridge", b"SECRETWORD")]
    assert len(inbox.mails) == 1


@pytest.mark.parametrize(
    ("options", "code"), [({"username": "bridge", "password": "wrong"}, "535 5.7.8 to our login"), ({}, "530 5.7.0")]
)
def test_a_login_that_is_refused_keeps_all_letters_waiting(
    options: dict[str, str],
    code: str,
    inbox: Inbox,
    guarded: Callable[..., Mailer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    breaker = Breaker("mail", failures=1, seconds=60.0)
    with pytest.raises(Unauthorized, match=code) as caught:
        guarded(breaker=breaker, **options).send(letter(), key="1")
    assert breaker.ready
    assert inbox.mails == []
    assert no_person_in(caught.value, caplog)


def test_a_login_that_can_not_be_checked_just_now_is_no_refusal(inbox: Inbox, guarded: Callable[..., Mailer]) -> None:
    inbox.answers["AUTH"] = "454 4.7.0 Temporary authentication failure"
    with pytest.raises(Unavailable, match=r"454 4\.7\.0 to our login") as caught:
        guarded(username="bridge", password="SECRETWORD").send(letter(), key="1")
    assert not isinstance(caught.value, Unauthorized)


def test_a_server_without_a_login_is_told_apart(inbox: Inbox, serve: Callable[..., Server]) -> None:
    with pytest.raises(Unauthorized, match="offers no login"):
        mailer_to(serve(), username="bridge", password="SECRETWORD").send(letter(), key="1")
    assert inbox.mails == []


def test_a_check_connects_and_logs_in_and_sends_nothing(inbox: Inbox, guarded: Callable[..., Mailer]) -> None:
    guarded(username="bridge", password="SECRETWORD").check()
    assert len(inbox.logins) == 1
    assert inbox.envelopes == []
    with pytest.raises(Unauthorized):
        guarded(username="bridge", password="wrong").check()


# --- what a server may answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "answer", "error", "says", "up"),
    [
        ("MAIL", "451 4.3.0 come back", Unavailable, "451 4.3.0 to the sender", True),
        ("MAIL", "421 4.7.0 too many", Unavailable, "421 4.7.0 to the sender", False),
        ("MAIL", "550 5.7.60 marie@example.org may not", Unauthorized, "550 5.7.60 to the sender", True),
        ("MAIL", "530 5.7.0 log in first", Unauthorized, "530 5.7.0 to the sender", True),
        ("MAIL", "552 5.3.4 too large", Refused, "552 5.3.4 to the sender", True),
        ("RCPT", "450 4.2.0 <marie@example.org> greylisted", Unavailable, "450 4.2.0 to the recipient", True),
        ("RCPT", "452 4.2.2 full", Unavailable, "452 4.2.2 to the recipient", True),
        ("RCPT", "421 going down", Unavailable, "421 to the recipient", False),
        ("RCPT", "550 5.1.1 <marie@example.org> unknown", Refused, "550 5.1.1 to the recipient", True),
        ("RCPT", "553 marie@example.org: no", Refused, "553 to the recipient", True),
        ("RCPT", "530 5.7.0 log in first", Unauthorized, "530 5.7.0 to the recipient", True),
        ("RCPT", "399 what", Unavailable, "399 to the recipient", False),
        ("DATA", "451 4.7.1 marie@example.org later", Unavailable, "451 4.7.1 to the letter", True),
        ("DATA", "421 4.3.2 going down", Unavailable, "421 4.3.2 to the letter", False),
        ("DATA", "554 5.7.1 spam for marie@example.org", Refused, "554 5.7.1 to the letter", True),
    ],
)
def test_each_answer_is_sorted_by_what_to_do_next_and_quotes_nobody(
    stage: str,
    answer: str,
    error: type[BridgeError],
    says: str,
    up: bool,
    inbox: Inbox,
    serve: Callable[..., Server],
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox.answers[stage] = answer
    breaker = Breaker("mail", failures=1, seconds=60.0)
    mailer = mailer_to(serve(), breaker=breaker)
    with pytest.raises(BridgeError) as caught:
        mailer.send(letter(), key="1")
    assert type(caught.value) is error
    assert str(caught.value) == f"the mail server answered {says}"
    assert getattr(caught.value, "system", "mail") == "mail"
    assert breaker.ready is up, "a server that answers is not down, whatever it thinks of one letter"
    assert inbox.mails == []
    assert no_person_in(caught.value, caplog)


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
def test_a_server_that_hangs_up_within_a_session_is_tried_later(
    stage: str, inbox: Inbox, serve: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    inbox.vanish_at = stage
    mailer = mailer_to(server)
    with pytest.raises(Unavailable, match="the mail server can't be used") as caught:
        mailer.send(letter(), key="1")
    assert no_person_in(caught.value, caplog)
    inbox.vanish_at = ""
    mailer.send(letter(), key="1")
    assert len(inbox.mails) == 1


def test_a_letter_that_was_taken_without_a_word_is_sent_again_under_its_own_name(
    inbox: Inbox, serve: Callable[..., Server]
) -> None:
    server = serve()
    inbox.vanish_at = "taken"
    mailer = mailer_to(server)
    with pytest.raises(Unavailable):
        mailer.send(letter(), key="1")
    inbox.vanish_at = ""
    mailer.send(letter(), key="1")
    first, again = [mail["Message-ID"] for mail in inbox.mails]
    assert first == again


class Rude:
    """A server that speaks only these lines, one for each that it hears, the first at once; then it hangs up."""

    def __init__(self, *lines: bytes) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.heard: list[bytes] = []
        self._lines = lines
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def _speak(self) -> None:
        connection, _ = self._listening.accept()
        with connection, connection.makefile("rb") as heard:
            for number, line in enumerate(self._lines):
                if number:
                    self.heard.append(heard.readline())
                    while self.heard[-1] not in (b".\r\n", b"") and self.heard[0] == b"in the letter":
                        self.heard.append(heard.readline())
                connection.sendall(line)

    def close(self) -> None:
        self._listening.close()
        self._thread.join(5.0)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "SMTPServerDisconnected"),
        ([b""], "SMTPServerDisconnected"),
        ([b"554 5.3.2 no service for learning@example.org\r\n"], "554 5.3.2 to our greeting"),
        ([b"421 busy\r\n"], "421 to our greeting"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "can't be used|to our greeting"),
        ([b"220 hello\r\n", b"550 no\r\n", b"550 no\r\n"], "550 to our greeting"),
        ([b"220 hello\r\n", b"250 fine\r\n"], "SMTPServerDisconnected"),
        ([b"220 " + b"x" * 10_000], "500 to our greeting|can't be used"),
    ],
)
def test_a_server_that_is_none_counts_as_down(lines: list[bytes], says: str) -> None:
    rude = Rude(*lines)
    breaker = Breaker("mail", failures=1, seconds=60.0)
    post = Post("127.0.0.1", rude.port, security="none", timeout=5.0, breaker=breaker)
    with pytest.raises(Unavailable, match=says):
        post.hand_over(EmailMessage(), "learning@example.org", LEARNER)
    assert not breaker.ready
    rude.close()


def test_a_server_that_speaks_no_tls_where_it_should_counts_as_down(serve: Callable[..., Server]) -> None:
    with pytest.raises(Unavailable, match="SSLError"):
        mailer_to(serve(), security="tls").send(letter(), key="1")


def test_a_server_that_says_nothing_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        post = Post("127.0.0.1", silent.getsockname()[1], security="none", timeout=0.2)
        with pytest.raises(Unavailable, match=r"TimeoutError|SMTPServerDisconnected"):
            post.check()


def test_nobody_there_counts_as_down_and_after_some_failures_nobody_is_called(inbox: Inbox) -> None:
    breaker = Breaker("mail", failures=2, seconds=60.0)
    post = Post("127.0.0.1", free_port(), security="none", timeout=1.0, breaker=breaker)
    for _ in range(2):
        with pytest.raises(Unavailable, match="ConnectionRefusedError"):
            post.check()
    with pytest.raises(Unavailable, match="has just failed several times") as caught:
        post.check()
    assert caught.value.system == "mail"
    assert caught.value.retry_after is not None


def test_a_letter_that_was_taken_is_sent_even_if_the_farewell_fails(
    inbox: Inbox, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang_up(self: Any, arg: str) -> None:
        self.transport.abort()

    monkeypatch.setattr(SMTP, "smtp_QUIT", hang_up)
    mailer_to(serve()).send(letter(), key="1")
    assert len(inbox.mails) == 1


def test_making_a_mailer_calls_nobody() -> None:
    post = Post("nowhere.invalid", 25, trust=lambda: pytest.fail("looked at too early"))
    Mailer(Letters(site="https://learn.example.org", sender="x"), post, SENDER)


# --- the commands and the wiring ---------------------------------------------------------------------------------


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    return {
        "BRIDGE_SHOP_URL": "https://shop.example.org",
        "BRIDGE_SHOP_CONSUMER_KEY": "ck_x",
        "BRIDGE_SHOP_CONSUMER_SECRET": "cs_x",
        "BRIDGE_TOTARA_URL": "https://learn.example.org",
        "BRIDGE_TOTARA_WS_TOKEN": "x",
    }


def with_server(port: int) -> dict[str, str]:
    return {
        "BRIDGE_MAIL_HOST": "127.0.0.1",
        "BRIDGE_MAIL_PORT": str(port),
        "BRIDGE_MAIL_SECURITY": "none",
        "BRIDGE_MAIL_FROM_ADDRESS": "learning@example.org",
    }


def test_without_a_mail_server_there_is_no_mailer_and_with_one_there_is(
    environ: dict[str, str], inbox: Inbox, serve: Callable[..., Server]
) -> None:
    assert Bridge(load(environ=environ)).mailer is None
    more = {"BRIDGE_MAIL_TIMEZONE": "Europe/Brussels", "BRIDGE_MAIL_LANGUAGE": "fr", "BRIDGE_MAIL_FROM_NAME": "Douane"}
    bridge = Bridge(load(environ=environ | with_server(serve().port) | more))
    assert bridge.mailer is not None
    bridge.mailer.send(letter(language="de"), key="1")
    (mail,) = inbox.mails
    assert mail["From"].addresses[0].display_name == "Douane"
    assert mail["Content-Language"] == "fr"
    assert inbox.greetings == ["example.org"], "not the name of a machine that nobody knows"
    assert "(UTC+0" in next(iter(mail.iter_parts())).get_content()
    assert bridge.breakers["mail"].ready


def test_the_bridge_checks_its_mailer_through_one_breaker(environ: dict[str, str]) -> None:
    bridge = Bridge(load(environ=environ | with_server(free_port()) | {"BRIDGE_WORK_BREAKER_FAILURES": "1"}))
    assert bridge.mailer is not None
    with pytest.raises(Unavailable):
        bridge.mailer.check()
    assert not bridge.breakers["mail"].ready


@pytest.mark.parametrize("kind", Letter)
def test_a_preview_shows_each_letter_and_needs_no_mail_server(kind: Letter, environ: dict[str, str]) -> None:
    shown = run(["mail", "preview", kind.value, "--language", "fr"], environ)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.startswith(("Subject: Votre accès", "Subject: Votre lien", "Subject: Harbour"))
    assert "learn.example.org" in shown.stdout, "the signature is the site's name where none is set"
    html = run(["mail", "preview", kind.value, "--html", "--output", "letter.html"], environ)
    assert (html.exit_code, html.stdout) == (0, "")
    assert Path("letter.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_preview_that_can_not_be_written_is_told_in_words(environ: dict[str, str]) -> None:
    shown = run(["mail", "preview", "ready", "--output", "nowhere/letter.html"], environ)
    assert (shown.exit_code, shown.stderr) == (
        1,
        "Error: Could not open file 'nowhere/letter.html': No such file or directory\n",
    )


def test_the_help_names_every_kind_of_letter_or_none_in_its_text(environ: dict[str, str]) -> None:
    """Where the words name some of them, the others look as if there were none."""
    shown = run(["mail", "preview", "--help"], environ).stdout
    for kind in Letter:
        assert kind.value in "".join(shown.split())
    assert "KIND" not in shown


def test_a_preview_tells_what_is_wrong_with_a_template(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "own" / "en").mkdir(parents=True)
    (tmp_path / "own" / "en" / "ended.txt.j2").write_text("Over\n{{ curses }}", encoding="utf-8")
    environ |= {"BRIDGE_MAIL_TEMPLATES": str(tmp_path / "own")}
    shown = run(["mail", "preview", "ready"], environ)
    assert shown.exit_code == 1
    assert shown.stdout.startswith("Subject: Your access")
    assert "bridge: en/ended: UndefinedError: 'curses' is undefined" in shown.stderr
    broken = run(["mail", "preview", "ended"], environ)
    assert (broken.exit_code, broken.stdout) == (1, "")
    assert "the template of the letter ended (en) fails" in broken.stderr


@pytest.mark.parametrize("arguments", [["preview", "nonsense"], ["preview", "ready", "--language", "xx"]])
def test_a_preview_of_nothing_is_a_bad_command_line(arguments: list[str], environ: dict[str, str]) -> None:
    assert run(["mail", *arguments], environ).exit_code == 2


def test_a_test_letter_is_sent_and_never_twice_the_same(
    environ: dict[str, str], inbox: Inbox, serve: Callable[..., Server]
) -> None:
    environ |= with_server(serve().port)
    for _ in range(2):
        result = run(["mail", "test", LEARNER, "--kind", "ends_soon", "--language", "fr"], environ)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "the mail server has taken it\n", "")
    assert [envelope.rcpt_tos for envelope in inbox.envelopes] == [[LEARNER], [LEARNER]]
    assert len({mail["Message-ID"] for mail in inbox.mails}) == 2
    assert inbox.mails[0]["Subject"] == "Votre accès à 2 cours prend bientôt fin"


def test_a_test_letter_that_does_not_get_out_says_why(
    environ: dict[str, str], inbox: Inbox, serve: Callable[..., Server]
) -> None:
    inbox.answers["RCPT"] = f"550 5.1.1 {LEARNER} unknown"
    refused = run(["mail", "test", LEARNER], environ | with_server(serve().port))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "bridge: the mail server answered 550 5.1.1 to the recipient\n"
    nowhere = run(["mail", "test", LEARNER], environ)
    assert nowhere.exit_code == 1
    assert "no mail server is configured; see mail.host" in nowhere.stderr
