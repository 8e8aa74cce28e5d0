"""The floors that call the shop and Totara: the calls that can't be avoided, made by hand on one session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from woocommerce.oauth import OAuth

TENANT = {"idnumber": "academy"}
CREATE = "mutation($i: core_user_create_user_input!) { core_user_create_user(input: $i) { user { id username } } }"


class Hands:
    """One session, and the calls as anybody would write them. Each raises when it was not answered as it should."""

    def __init__(self, shop: str, totara: str) -> None:
        self._shop, self._totara = f"{shop}/wp-json/wc/v3", totara
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", HTTPAdapter(pool_maxsize=16))
        answer = self._session.post(
            f"{totara}/totara/oauth2/token.php",
            {
                "grant_type": "client_credentials",
                "client_id": "sandbox-client",
                "client_secret": "sandbox-client-secret",
            },
        )
        self._bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def shop(self, method: str, path: str, data: Any = None) -> Any:
        """One signed call to the shop, which over http wants OAuth."""
        url = f"{self._shop}/{path}"
        signed = OAuth(
            url=url, consumer_key="ck_sandbox", consumer_secret="cs_sandbox", version="wc/v3", method=method
        ).get_oauth_url()
        answer = self._session.request(method, signed, json=data)
        answer.raise_for_status()
        return answer.json()

    def service(self, function: str, **fields: Any) -> Any:
        """One web service of Totara."""
        form = {"wstoken": "sandbox-ws-token", "wsfunction": function, "moodlewsrestformat": "json", **fields}
        body = self._session.post(f"{self._totara}/webservice/rest/server.php", form).json()
        if isinstance(body, dict) and "exception" in body:
            raise RuntimeError(f"{function}: {body}")
        return body

    def enrol(self, order_id: int, *course_ids: int, cold: bool = False) -> None:
        """From a paid order to a learner who can enter: five calls, and one for each course. ``cold``: and one for
        what the product gives, which its own meta may say; who has many orders to do need not ask for it each time.
        """
        order = self.shop("GET", f"orders/{order_id}")
        if cold:
            product = order["line_items"][0]["product_id"]
            self.shop("GET", f"products?include={product}&_fields=id,type,sku,meta_data&status=any")
        billing = order["billing"]
        self.seat(f"by-hand-{order_id}", billing["email"].lower(), billing["first_name"], *course_ids)

    def seat(self, username: str, email: str, name: str, *course_ids: int) -> None:
        """From an address to a learner who can enter: four calls, and one for each course."""
        if self.service("core_user_get_users", **{"criteria[0][key]": "email", "criteria[0][value]": email})["users"]:
            raise RuntimeError("the address is taken")
        user = {
            "username": username,
            "email": email,
            "firstname": name,
            "lastname": "Buyer",
            "password": "Aa1!a-throwaway-password",
            "auth": "manual",
            "tenant": TENANT,
        }
        answer = self._session.post(
            f"{self._totara}/api/graphql.php", json={"query": CREATE, "variables": {"i": user}}, headers=self._bearer
        )
        user_id = answer.json()["data"]["core_user_create_user"]["user"]["id"]
        ids = ",".join(map(str, course_ids))
        self.service("core_course_get_courses_by_field", field="ids", value=ids, moodlewssettingraw=1)
        for course_id in course_ids:
            fields = {"roleid": 5, "userid": user_id, "courseid": course_id, "timestart": 0, "timeend": 0, "suspend": 0}
            told = {f"enrolments[0][{name}]": value for name, value in fields.items()}
            self.service("enrol_manual_enrol_users", **told)
        found = self.service("core_enrol_get_users_courses", userid=user_id)
        if not {course["id"] for course in found}.issuperset(course_ids):
            raise RuntimeError("enrolled, but can't enter")

    def tell(self, order_id: int, *course_ids: int) -> None:
        """What the order is told of it: meta and a note, two calls."""
        lines = (f"line {n}, course {one}: access ready for Totara user 1000" for n, one in enumerate(course_ids, 1))
        seats = "; ".join(lines)
        meta = [{"key": "_bridge_access", "value": "ready"}, {"key": "_bridge_seats", "value": seats}]
        self.shop("PUT", f"orders/{order_id}?_fields=id", {"meta_data": meta})
        note = {"note": f"Learning access: {seats}. [bridge 0123456789abcdef]", "customer_note": False}
        self.shop("POST", f"orders/{order_id}/notes", note)

    def order(self, order_id: int) -> str:
        """Read an order; its status."""
        return str(self.shop("GET", f"orders/{order_id}")["status"])

    def orders_modified(self, after: str) -> list[int]:
        """Page through the numbers of all orders modified after a moment."""
        found: list[int] = []
        for page in range(1, 10_000):
            query = f"modified_after={after}&dates_are_gmt=true&orderby=modified&order=asc"
            rows = self.shop("GET", f"orders?{query}&per_page=100&page={page}&_fields=id,date_modified_gmt")
            found += [int(row["id"]) for row in rows]
            if len(rows) < 100:
                break
        return found

    def courses(self, categories: Iterable[int]) -> int:
        """Read the categories and all courses; how many."""
        self.service("core_course_get_categories", moodlewssettingraw=1)
        return sum(
            len(
                self.service("core_course_get_courses_by_field", field="category", value=one, moodlewssettingraw=1)[
                    "courses"
                ]
            )
            for one in categories
        )

    def product_ids(self) -> int:
        """Read the ids of all our products; how many."""
        count = 0
        for page in range(1, 10_000):
            query = f"search_sku=totara-course-&_fields=id,sku,status&per_page=100&page={page}&status=any"
            rows = self.shop("GET", f"products?{query}&orderby=id&order=asc")
            count += len(rows)
            if len(rows) < 100:
                break
        return count

    def batch(self, create: Sequence[Mapping[str, Any]]) -> None:
        """Create up to a hundred products."""
        made = self.shop("POST", "products/batch", {"create": create})["create"]
        if bad := [product for product in made if "error" in product]:
            raise RuntimeError(str(bad[0]))


def at_once(threads: int, hands: Callable[[], Hands], tasks: Sequence[Any], work: Callable[[Hands, Any], None]) -> None:
    """Do the tasks in so many threads with a session each. Raises the first error."""
    left: SimpleQueue[Any] = SimpleQueue()
    for task in tasks:
        left.put(task)
    errors: list[Exception] = []

    def run() -> None:
        mine = hands()
        try:
            while not errors:
                work(mine, left.get_nowait())
        except Empty:
            pass
        except Exception as err:
            errors.append(err)
        finally:
            mine.close()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
