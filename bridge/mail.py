"""Letters on their way: one SMTP session each, encrypted, with errors sorted by what the caller does next.

What the mail server says is never passed on: it quotes addresses. The three digits and the enhanced code are enough.
"""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal

import idna

from bridge import metrics
from bridge.domain.identity import is_email
from bridge.domain.letters import Message, greeting_name, one_line
from bridge.errors import BridgeError, Refused, Unauthorized, Unavailable
from bridge.http import Breaker
from bridge.letters.render import Letters

Security = Literal["starttls", "tls", "none"]

#: The answer that ends a session whatever it was about: the server is going away, or has had enough of us.
_GOING = 421
#: A letter too large, told already when the sender is named: about this letter, not about the sender.
_TOO_LARGE = 552
_LOGIN_NEEDED = 530


@dataclass(frozen=True, slots=True)
class Sender:
    """Who letters are from, and where answers go ("" for where they are from)."""

    address: str
    name: str = ""
    reply_to: str = ""


class Post:
    """An SMTP server that takes our mail. Making it calls nobody.

    ``greeting`` is the host name that we greet with; some servers take none that is no name of the internet's.
    ``trust`` makes the context that the server's certificate is held against: by default the system's authorities,
    or those that SSL_CERT_FILE names. It is looked at whenever there is a certificate; nothing switches that off.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        security: Security = "starttls",
        username: str = "",
        password: str = "",
        timeout: float = 30.0,
        greeting: str | None = None,
        breaker: Breaker | None = None,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self.breaker = breaker or Breaker("mail")
        self._host = host
        self._port = port
        self._security = security
        self._username = username
        self._password = password
        self._timeout = timeout
        self._greeting = greeting
        self._trust = trust

    def check(self) -> None:
        """Connect, encrypt and log in, and send nothing. Raises Unavailable or Unauthorized."""
        with self._guarded("check"), self._session():
            pass

    def hand_over(self, mail: EmailMessage, sender: str, to: str) -> None:
        """Give the server one mail for one person; on return it has taken it on.

        Raises Unavailable for what may pass (no connection, 4xx), Unauthorized when it takes no mail of ours at all
        (login, sender), Refused when it will not have this one (5xx). Cut off between the mail's last line and the
        answer, nobody knows whether it was taken: that is Unavailable, and the same Message-ID tells the second copy.
        """
        with self._guarded("send"), self._session() as session:
            try:
                session.send_message(mail, sender, [to])
            except smtplib.SMTPNotSupportedError:
                raise Refused("the mail server takes no address with letters beyond ASCII", code="smtputf8") from None

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Everything that leaves is an error of ours; the breaker and the metrics are told."""
        self.breaker.enter()
        began = time.perf_counter()
        answered = False
        try:
            yield
            answered = True
        except BridgeError:
            answered = True
            raise
        except (smtplib.SMTPException, OSError) as err:
            error, answered = verdict(err)
            raise error from None  # not chained: the server's own words quote addresses
        finally:
            self.breaker.note(answered)
            outcome = "answered" if answered else "unavailable"
            metrics.CALLS.labels("mail", what, outcome).observe(time.perf_counter() - began)

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        session = self._connected()
        try:
            self._start_tls(session)
            self._log_in(session)
            yield session
            with suppress(smtplib.SMTPException, OSError):
                session.quit()  # the letter was taken before: a poor farewell changes nothing
        finally:
            session.close()

    def _connected(self) -> smtplib.SMTP:
        if self._security == "tls":
            return smtplib.SMTP_SSL(
                self._host, self._port, self._greeting, timeout=self._timeout, context=self._trust()
            )
        return smtplib.SMTP(self._host, self._port, self._greeting, timeout=self._timeout)

    def _start_tls(self, session: smtplib.SMTP) -> None:
        """Never goes on in the clear: whoever sits between could else have had the offer of encryption left out."""
        if self._security != "starttls":
            return
        try:
            session.starttls(context=self._trust())
        except smtplib.SMTPNotSupportedError:
            raise Unavailable("the mail server does not offer STARTTLS: see mail.security", system="mail") from None

    def _log_in(self, session: smtplib.SMTP) -> None:
        if not self._username:
            return
        try:
            session.login(self._username, self._password)
        except (smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected):
            raise
        except smtplib.SMTPException:
            raise Unauthorized("the mail server offers no login that we know", system="mail") from None


def verdict(err: Exception) -> tuple[BridgeError, bool]:
    """What an error means, and whether the server is there and merely said no.

    ===================================  ============================  ==========
    what                                 is                            server up
    ===================================  ============================  ==========
    no connection, no answer, 421        Unavailable                   no
    a certificate that is not trusted    Unavailable                   no
    greeting, STARTTLS                   Unavailable                   no
    4xx                                  Unavailable                   yes
    login, 530, the sender               Unauthorized                  yes
    the recipient, the letter, 552       Refused                       yes
    ===================================  ============================  ==========
    """
    what, code, said = _answer(err)
    if code is None:
        return Unavailable(f"the mail server can't be used: {what}", system="mail"), False
    words = f"the mail server answered {code}{_enhanced(said)} to {what}"
    if what == "our greeting" or code == _GOING or not 400 <= code <= 599:
        return Unavailable(words, system="mail"), False
    if code < 500:
        return Unavailable(words, system="mail"), True
    if code == _LOGIN_NEEDED or (what in ("our login", "the sender") and code != _TOO_LARGE):
        return Unauthorized(words, system="mail"), True
    return Refused(words, code=str(code)), True


def _answer(err: Exception) -> tuple[str, int | None, bytes | str]:
    """What was answered, the code, and the words; or what went wrong, without a code."""
    if isinstance(err, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(err.recipients.values()))
        return "the recipient", code, said
    if isinstance(err, smtplib.SMTPResponseException):
        names: dict[type[Exception], str] = {
            smtplib.SMTPAuthenticationError: "our login",
            smtplib.SMTPSenderRefused: "the sender",
            smtplib.SMTPDataError: "the letter",
        }
        return names.get(type(err), "our greeting"), err.smtp_code, err.smtp_error
    if isinstance(err, ssl.SSLCertVerificationError):
        return "its certificate is not trusted", None, b""
    return type(err).__name__, None, b""


def _enhanced(said: bytes | str) -> str:
    """The code of RFC 3463 that an answer may begin with, " 5.1.1": digits only, so that nothing else gets out."""
    words = said.decode("ascii", "replace") if isinstance(said, bytes) else said
    found = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", words)
    return f" {found[0]}" if found else ""


class Mailer:
    """Writes letters and sends them."""

    def __init__(self, letters: Letters, post: Post, sender: Sender) -> None:
        self.letters = letters
        self._post = post
        self._sender = sender

    def send(self, message: Message, *, key: str) -> None:
        """Write one letter and give it to the mail server.

        ``key`` names the letter for good: the same key gives the same Message-ID, so that a letter which is sent again
        because nobody knows whether it was sent can be told from another one. Raises Refused, Unauthorized,
        Unavailable; see :meth:`Post.hand_over`.
        """
        mail = self.compose(message, key=key)
        self._post.hand_over(mail, mailable(self._sender.address), mailable(message.to_address))

    def check(self) -> None:
        """Whether the mail server lets us in. Sends nothing."""
        self._post.check()

    def compose(self, message: Message, *, key: str) -> EmailMessage:
        """The mail, as it goes out: text and HTML. Raises Refused for an address or a template that can't be used."""
        written = self.letters.write(message)
        mail = EmailMessage(policy=SMTP)
        mail["From"] = _party(self._sender.name, self._sender.address)
        mail["To"] = _party(greeting_name(message.name), message.to_address)
        if self._sender.reply_to:
            mail["Reply-To"] = _party("", self._sender.reply_to)
        mail["Subject"] = written.subject
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = message_id(key, self._sender.address)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no "I am on holiday" in return
        # Quoted-printable: lines stay below what SMTP allows, and nothing hangs on what the server can do.
        mail.set_content(written.text, cte="quoted-printable")
        mail.add_alternative(written.html, subtype="html", cte="quoted-printable")
        mail["Content-Language"] = written.language.replace(
            "_", "-"
        )  # last: a part that is added takes such headers along
        return mail


def message_id(key: str, address: str) -> str:
    """The Message-ID of the letter with this key: it tells nothing of the key, and is the same every time."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:40]
    return f"<{digest}@{mailable(address).rpartition('@')[2]}>"


def mailable(address: str) -> str:
    """The address as mail servers take it, its domain in ASCII. Raises Refused for what is no address."""
    local, _, domain = address.strip().rpartition("@")
    with suppress(idna.IDNAError):
        ready = f"{local}@{idna.encode(domain, uts46=True).decode()}"
        if is_email(ready):
            return ready
    raise Refused("there is no address that mail could be sent to")


def _party(name: str, address: str) -> Address:
    # Without the signs that mean something in a header: folded, they have been left unquoted by the standard library.
    plain = one_line(re.sub(r'["(),:;<>@\[\\\]]', " ", name))
    local, _, domain = mailable(address).rpartition("@")
    return Address(plain, local, domain)
