"""WooCommerce's REST API v3, through the ``woocommerce`` client on one pooled session.

Knows nothing of courses. Answers are plain dicts as the shop gives them, except for what the bridge reasons about:
orders and customers come as values of :mod:`bridge.domain`. Behaviour described here was measured on WooCommerce 11.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from requests.auth import HTTPBasicAuth
from woocommerce import API

from bridge.domain.purchases import Buyer, Order, Refund, Subscription
from bridge.errors import NotFound, Refused, Unauthorized, Unavailable
from bridge.http import Wire
from bridge.woo_rows import (
    SYSTEM,
    Billed,
    ProductFacts,
    is_subscription,
    read_billed,
    read_moment,
    read_order,
    read_product,
    read_refund,
    read_subscription,
)

T = TypeVar("T")

PAGE = 100  # the most that a list gives, and that a batch takes
MOST_PAGES = 10_000
A_SUBSCRIPTION = "a subscription"  # the code of a NotFound: the number is no order's
#: For so many seconds a shop is believed to be without WooCommerce Subscriptions before an order has it asked again.
WITHOUT_SUBSCRIPTIONS = 300.0

#: What an error's code means to the caller; a code that isn't here is judged by its status.
ERRORS: dict[str, tuple[type[Unavailable] | type[Refused], str]] = {
    "woocommerce_rest_authentication_error": (Unauthorized, "the REST key is not accepted"),
    "woocommerce_rest_cannot_view": (Unauthorized, "the REST key may not read this, or was not received"),
    "woocommerce_rest_cannot_edit": (Unauthorized, "the REST key may not write this"),
    "woocommerce_rest_cannot_create": (Unauthorized, "the REST key may not make this"),
    "woocommerce_rest_cannot_batch": (Unauthorized, "the REST key may not write this"),
    "woocommerce_rest_cannot_delete": (Unauthorized, "the REST key may not delete this"),
    # Reading an unknown id is answered 404, writing to it 400.
    "woocommerce_rest_shop_order_invalid_id": (NotFound, "there is no such order"),
    "woocommerce_rest_shop_subscription_invalid_id": (NotFound, "there is no such subscription"),
    "woocommerce_rest_product_invalid_id": (NotFound, "there is no such product"),
    "rest_no_route": (
        NotFound,
        "the shop has no such address: are WooCommerce and, for subscriptions, its extension active?",
    ),
    "product_invalid_sku": (Refused, "the SKU is taken"),
    "woocommerce_rest_product_not_created": (Refused, "the SKU is held by a product in the bin"),
    "term_exists": (Refused, "the category is there already"),
    "woocommerce_product_image_upload_error": (Refused, "the shop could not fetch the picture"),
    "woocommerce_rest_invalid_image": (Refused, "the shop could not fetch the picture"),
}


def judge(what: str, status: int, body: Any) -> Any:
    """The answer's body, or the exception that it means. ``body`` is parsed JSON."""
    if status < 400:
        return body
    body = body if isinstance(body, dict) else {}
    code = str(body.get("code", ""))
    by_status = {401: Unauthorized, 403: Unauthorized, 404: NotFound, 410: NotFound}
    otherwise: type[Unavailable] | type[Refused] = by_status.get(status, Refused)
    kind, meaning = ERRORS.get(code, (otherwise, f"{status} {code}".strip()))
    message = f"the shop refused {what}: {meaning}"
    if issubclass(kind, Unavailable):
        raise kind(message, system=SYSTEM)
    data = body.get("data")
    raise kind(message, code=code, data=data if isinstance(data, dict) else {})


class _PooledAPI(API):  # type: ignore[misc]
    """The ``woocommerce`` client with its one private request method replaced.

    As it comes it opens a connection for every call, sends every parameter twice over http, and never retries. The
    version is pinned for this.
    """

    def __init__(self, url: str, key: str, secret: str, wire: Wire) -> None:
        super().__init__(url, key, secret, version="wc/v3")
        self._wire = wire

    def _API__request(
        self, method: str, endpoint: str, data: Any, params: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        url = self._API__get_url(endpoint)
        what = kwargs.pop("what", endpoint)
        # A list would be signed wrongly over http, and only its last item sent over https: WordPress reads commas.
        query = {k: ",".join(map(str, v)) if isinstance(v, (list, tuple)) else v for k, v in (params or {}).items()}
        headers = {"Accept": "application/json", "User-Agent": "totara-woocommerce-bridge"}
        body = None
        if data is not None:
            body = json.dumps(data).encode()
            headers["Content-Type"] = "application/json"
        if self.is_ssl:
            auth = HTTPBasicAuth(self.consumer_key, self.consumer_secret)
            return self._wire.send_json(method, url, what=what, params=query, data=body, headers=headers, auth=auth)
        signed = self._API__get_oauth_url(f"{url}?{urlencode(query)}", method)
        return self._wire.send_json(method, signed, what=what, data=body, headers=headers)


class WooClient:
    """One shop. Made without network; safe to use from many threads.

    ``url`` is the shop's address; over https the key goes as Basic authentication, over http as an OAuth 1.0a
    signature, which is what WooCommerce wants there.
    """

    def __init__(self, url: str, key: str, secret: str, wire: Wire) -> None:
        self.url = url.rstrip("/")
        self._wire = wire
        self._api = _PooledAPI(self.url, key, secret, wire)
        self._without_subscriptions = float("-inf")  # until when, by this process's own clock

    # --- the one way in --------------------------------------------------------------------------------------

    def _call(self, method: str, endpoint: str, what: str, data: Any = None, **params: Any) -> tuple[Any, Any]:
        """One call: the body, and the headers for whoever counts pages."""
        answer, body = self._api._API__request(method, endpoint, data, params=params, what=what)
        return judge(what, answer.status_code, body), answer.headers

    def _get(self, endpoint: str, what: str, **params: Any) -> Any:
        return self._wire.reading(lambda: self._call("GET", endpoint, what, **params))[0]

    def _list(self, endpoint: str, what: str, **params: Any) -> list[dict[str, Any]]:
        """One page of a list. Raises Unavailable for an answer that is none."""
        rows = self._get(endpoint, what, **params)
        if not isinstance(rows, list):
            raise Unavailable(f"the shop answered {what} without a list", system=SYSTEM)
        return rows

    def _pages(self, endpoint: str, what: str, **params: Any) -> Iterator[list[dict[str, Any]]]:
        """The pages of a list. Pages are counted by their length: the Link header repeats the signature."""
        for page in range(1, MOST_PAGES):
            rows = self._list(endpoint, what, **params, per_page=PAGE, page=page)
            if rows:
                yield rows
            if len(rows) < PAGE:
                return

    def status(self) -> None:
        """Whether the shop answers and takes our key for reading orders; raises what is wrong."""
        self._get("orders", "orders", per_page=1, _fields="id")

    # --- orders ------------------------------------------------------------------------------------------------

    def get_order(self, order_id: int) -> Order:
        """The order as it is now. Raises NotFound once it has been deleted for good; one in the bin is found.

        Only WooCommerce's own word for that counts: a 404 without it is a proxy's, or WooCommerce being updated, and
        must not end anybody's access. The shop answers a subscription's number as if it were an order's: that is
        NotFound with the code A_SUBSCRIPTION.
        """
        try:
            row = self._get(f"orders/{order_id}", "order")
            if isinstance(row, Mapping) and is_subscription(row):
                raise NotFound(f"{order_id} is the number of a subscription", code=A_SUBSCRIPTION)
            return read_order(row)
        except NotFound as err:
            if err.code not in ("woocommerce_rest_shop_order_invalid_id", A_SUBSCRIPTION):
                raise Unavailable(f"the shop can't be asked for order {order_id}: {err}", system=SYSTEM) from err
            raise

    def find_orders(self, **params: Any) -> Iterator[Order]:
        """Orders by whatever the list can filter by: ``customer``, ``product``, ``search``, ``status``, ``include``."""
        for page in self._pages("orders", "orders", **params):
            yield from map(read_order, page)

    def newest_orders(self, customer_id: int) -> list[tuple[int, datetime]]:
        """The up to a hundred newest orders of a registered customer: id, and when it was modified."""
        rows = self._list("orders", "orders", customer=customer_id, per_page=PAGE, _fields="id,date_modified_gmt")
        return [(int(row["id"]), modified) for row in rows if (modified := read_moment(row.get("date_modified_gmt")))]

    def orders_modified_after(self, moment: datetime, *, binned: bool = False) -> Iterator[list[tuple[int, datetime]]]:
        """Pages of (order id, when modified), oldest first, of the orders modified after ``moment``.

        ``binned`` asks for those in the bin, which no other list holds. Deleting an order for good, or a refund of
        it, does not show here.
        """
        return self._modified_after("orders", moment, **({"status": "trash"} if binned else {}))

    def subscriptions_modified_after(
        self, moment: datetime, *, binned: bool = False
    ) -> Iterator[list[tuple[int, datetime]]]:
        """The same of subscriptions; none where WooCommerce Subscriptions is not installed."""
        yield from self._if_there(
            self._modified_after("subscriptions", moment, **({"status": "trash"} if binned else {}))
        )

    def _if_there(self, pages: Iterator[T]) -> Iterator[T]:
        """What WooCommerce Subscriptions answers; nothing where it is not installed, which is remembered."""
        try:
            yield from pages
            self._without_subscriptions = float("-inf")
        except NotFound as err:
            if err.code != "rest_no_route":
                raise
            self._without_subscriptions = time.monotonic() + WITHOUT_SUBSCRIPTIONS

    def _modified_after(self, what: str, moment: datetime, **params: Any) -> Iterator[list[tuple[int, datetime]]]:
        """The time is sent as UTC without a Z and with dates_are_gmt: both together would shift it by the shop's
        offset. The filter is "strictly after" in whole seconds, so overlap.
        """
        after, page = moment.astimezone(UTC), 1
        for _ in range(MOST_PAGES):
            rows = self._list(
                what,
                f"{what} modified",
                modified_after=after.strftime("%Y-%m-%dT%H:%M:%S"),
                dates_are_gmt="true",
                orderby="modified",
                order="asc",
                per_page=PAGE,
                page=page,
                _fields="id,date_modified_gmt",
                **params,
            )
            found = [(int(row["id"]), read_moment(row["date_modified_gmt"]) or moment) for row in rows]
            if found:
                yield found
            if len(found) < PAGE:
                return
            # One that is modified meanwhile moves to the end, and would make the next page skip one: go on by time,
            # not by page, unless a whole page falls into one second.
            last = found[-1][1] - timedelta(seconds=1)
            after, page = (last, 1) if last > after else (after, page + 1)

    def orders_there(self, order_ids: Sequence[int]) -> set[int]:
        """Those of up to a hundred orders that are there, in the bin too: nothing tells of one deleted for good."""
        found: set[int] = set()
        for status in ("any", "trash"):
            rows = self._list("orders", "orders", include=list(order_ids), status=status, per_page=PAGE, _fields="id")
            found |= {int(row["id"]) for row in rows}
        return found

    def billed(self, what: str, ids: Sequence[int]) -> dict[int, Billed]:
        """Whom up to a hundred "orders" or "subscriptions" were billed to, as far as they are there and not in the bin.
        None of those, where WooCommerce Subscriptions is not installed.
        """
        if not ids:
            return {}
        fields = "id,number,status,date_created_gmt,billing,meta_data"
        try:
            rows = self._list(what, what, include=list(ids), per_page=PAGE, _fields=fields)
        except NotFound as err:
            if err.code != "rest_no_route":
                raise
            return {}
        return {found.id: found for found in map(read_billed, rows) if found.id in ids}

    def refunds(self, order_id: int) -> list[Refund]:
        """The order's refunds; one of an amount only, or one made by setting the status by hand, names no lines."""
        return [read_refund(row) for page in self._pages(f"orders/{order_id}/refunds", "refunds") for row in page]

    def sells_subscriptions(self) -> bool:
        """Whether WooCommerce Subscriptions is installed."""
        try:
            self._get("subscriptions/statuses", "subscription statuses")
        except NotFound as err:
            if err.code != "rest_no_route":
                raise
            return False
        return True

    def subscriptions(self, order_id: int) -> list[Subscription] | None:
        """The subscriptions an order belongs to but those in the bin; None where WooCommerce Subscriptions is away.

        The order itself does not tell that it is one's. A shop that was seen to be without the plugin is not asked by
        every order: the next sweep asks again.
        """
        if time.monotonic() < self._without_subscriptions:
            return None
        pages = self._if_there(self._pages(f"orders/{order_id}/subscriptions", "subscriptions"))
        found = [read_subscription(row) for page in pages for row in page]
        return None if time.monotonic() < self._without_subscriptions else found

    def subscriptions_of_customer(self, customer_id: int) -> list[Subscription]:
        """All subscriptions of a registered customer but those in the bin."""
        pages = self._pages("subscriptions", "subscriptions", customer=customer_id)
        return [read_subscription(row) for page in pages for row in page]

    def subscriptions_there(self, subscription_ids: Sequence[int]) -> set[int]:
        """Those of up to a hundred subscriptions that are there, and not in the bin. Raises NotFound without the
        plugin: then nothing is known.
        """
        rows = self._list("subscriptions", "subscriptions", include=list(subscription_ids), per_page=PAGE, _fields="id")
        return {int(row["id"]) for row in rows}

    def get_subscription(self, subscription_id: int) -> Subscription:
        """The subscription as it is now. Raises NotFound once it has been deleted for good, by the shop's own word."""
        try:
            return read_subscription(self._get(f"subscriptions/{subscription_id}", "subscription"))
        except NotFound as err:
            if err.code not in (
                "woocommerce_rest_shop_subscription_invalid_id",
                "woocommerce_rest_shop_order_invalid_id",
            ):
                said = f"the shop can't be asked for subscription {subscription_id}: {err}"
                raise Unavailable(said, system=SYSTEM) from err
            raise

    def set_order_meta(self, order_id: int, meta: Mapping[str, str]) -> None:
        """Set order meta by key: other keys stay, and the same again changes nothing but the time of modification."""
        data = {"meta_data": [{"key": key, "value": value} for key, value in meta.items()]}
        self._wire.reading(lambda: self._call("PUT", f"orders/{order_id}", "order meta", data, _fields="id"))

    def order_meta(self, order_id: int) -> dict[str, str]:
        """An order's meta by key, as far as its values are texts."""
        row = self._get(f"orders/{order_id}", "order meta", _fields="id,meta_data")
        return {str(m["key"]): m["value"] for m in row["meta_data"] if isinstance(m["value"], str)}

    def order_notes(self, order_id: int) -> list[str]:
        """The texts of an order's private notes, the newest first."""
        rows = self._get(f"orders/{order_id}/notes", "notes", type="internal")
        return [str(row["note"]) for row in sorted(rows, key=lambda row: int(row["id"]), reverse=True)]

    def add_order_note(self, order_id: int, note: str) -> None:
        """Write a private note. Not idempotent: whoever is not sure whether it was written looks first."""
        self._call("POST", f"orders/{order_id}/notes", "note", {"note": note, "customer_note": False})

    # --- customers -----------------------------------------------------------------------------------------------

    def find_customer(self, customer_id: int) -> Buyer | None:
        """The registered customer, or None if the account has been deleted."""
        try:
            row = self._get(f"customers/{customer_id}", "customer", _fields="id,email,first_name,last_name")
        except NotFound as err:
            # No customer is gone because an address is.
            if err.code not in ("wc_user_invalid_id", "woocommerce_rest_invalid_id"):
                raise Unavailable(f"customer {customer_id} can't be read: {err}", system=SYSTEM) from err
            return None
        return Buyer(int(row["id"]), row.get("email") or "", row.get("first_name") or "", row.get("last_name") or "")

    # --- products: what they give ----------------------------------------------------------------------------------

    def product_facts(self, product_ids: Collection[int]) -> dict[int, ProductFacts]:
        """Type, SKU and meta of products, a hundred at a call, also of those in the bin; the others are left out."""
        found: dict[int, ProductFacts] = {}
        for status in ("any", "trash"):  # "any" is all but the bin
            wanted = sorted(set(product_ids) - found.keys())
            for start in range(0, len(wanted), PAGE):
                rows = self._get(
                    "products",
                    "product facts",
                    include=wanted[start : start + PAGE],
                    per_page=PAGE,
                    status=status,
                    _fields="id,type,sku,meta_data",
                )
                found |= {int(row["id"]): read_product(row) for row in rows}
        return found

    def variation_facts(self, product_id: int, variation_id: int) -> ProductFacts | None:
        """The same of one variation; None if it is not there."""
        path = f"products/{product_id}/variations/{variation_id}"
        try:
            return read_product(self._get(path, "variation facts", _fields="id,sku,meta_data"))
        except NotFound as err:
            if err.code not in ("woocommerce_rest_product_variation_invalid_id", "woocommerce_rest_product_invalid_id"):
                raise Unavailable(f"variation {variation_id} can't be read: {err}", system=SYSTEM) from err
            return None

    def is_product(self, product_id: int) -> bool:
        """Whether a product, or a variation, has this id; one in the bin does not count."""
        try:
            row = self._get(f"products/{product_id}", "product", _fields="id,status")
        except NotFound as err:
            if err.code != "woocommerce_rest_product_invalid_id":
                raise Unavailable(f"product {product_id} can't be read: {err}", system=SYSTEM) from err
            return False
        return bool(row.get("status") != "trash")

    # --- products ------------------------------------------------------------------------------------------------

    def products_with_sku_like(self, part: str, fields: str, **params: Any) -> Iterator[list[dict[str, Any]]]:
        """Pages of products, and of variations, whose SKU contains ``part``, in any case; none of those in the bin."""
        return self._pages("products", "products", search_sku=part, _fields=fields, orderby="id", order="asc", **params)

    def products_by_sku(self, skus: Iterable[str], **params: Any) -> Iterator[dict[str, Any]]:
        """Products and variations with exactly these SKUs. ``status="trash"`` looks in the bin, and only there."""
        wanted = list(skus)
        for start in range(0, len(wanted), PAGE):
            for page in self._pages("products", "products", sku=wanted[start : start + PAGE], **params):
                yield from page

    def products_by_id(self, ids: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Products by id, a hundred at a call; unknown ids are left out.

        In the context of editing, where texts are as stored: by default they come as the shop's pages render them,
        and compare equal with nothing.
        """
        wanted = list(ids)
        for start in range(0, len(wanted), PAGE):
            yield from self._get(
                "products",
                "products",
                include=wanted[start : start + PAGE],
                per_page=PAGE,
                status="any",
                context="edit",
            )

    def batch_products(
        self, create: Sequence[Mapping[str, Any]] = (), update: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[list[dict[str, Any] | Refused], list[dict[str, Any] | Refused]]:
        """Create and update up to a hundred products in one call; for each, in order, the product or why not.

        The batch answers 200 whatever happens, and skips the validation that single calls have: what is sent must be
        right already.
        """
        if len(create) + len(update) > PAGE:
            raise ValueError(f"{len(create) + len(update)} products: a batch takes {PAGE}")
        body, _ = self._call("POST", "products/batch", "products batch", {"create": create, "update": update})
        return self._outcomes(create, body.get("create")), self._outcomes(update, body.get("update"))

    def _outcomes(self, sent: Sequence[Any], rows: Any) -> list[dict[str, Any] | Refused]:
        rows = rows or []
        if len(rows) != len(sent):
            raise Unavailable("the shop answered a batch with another number of products", system=SYSTEM)
        outcomes: list[dict[str, Any] | Refused] = []
        for row in rows:
            if "error" not in row:
                outcomes.append(row)
                continue
            try:
                data = row["error"].get("data")
                judge("product", int((data if isinstance(data, dict) else {}).get("status") or 400), row["error"])
            except Refused as err:
                outcomes.append(err)
        return outcomes

    # --- categories ----------------------------------------------------------------------------------------------

    def ensure_category(self, name: str, parent: int) -> int:
        """The id of the product category of this name under this parent (0: at the top), made if need be.

        Names of categories come back, and are compared, as HTML.
        """
        try:
            body, _ = self._call("POST", "products/categories", "category", {"name": name, "parent": parent})
            return int(body["id"])
        except Refused as err:
            if err.code == "term_exists" and "resource_id" in err.data:
                return int(str(err.data["resource_id"]))
            raise

    def rename_category(self, term_id: int, name: str, parent: int) -> None:
        """Give a product category another name and place. Raises NotFound if it has been deleted."""
        data = {"name": name, "parent": parent}
        self._wire.reading(lambda: self._call("PUT", f"products/categories/{term_id}", "category", data))

    # --- webhooks --------------------------------------------------------------------------------------------------

    def webhooks(self) -> list[dict[str, Any]]:
        """All webhooks: id, name, status, topic, delivery_url. Secrets and failure counts are never shown."""
        return [row for page in self._pages("webhooks", "webhooks") for row in page]

    def create_webhook(self, *, name: str, topic: str, url: str, secret: str) -> dict[str, Any]:
        """Register a webhook. The shop pings the address at once, unsigned, and answers 201 whatever comes back."""
        data = {"name": name, "topic": topic, "delivery_url": url, "secret": secret, "status": "active"}
        row: dict[str, Any] = self._call("POST", "webhooks", "webhook", data)[0]
        if row.get("topic") != topic:
            raise Refused(f"the shop does not know the topic {topic}", code="topic")
        return row

    def update_webhook(self, webhook_id: int, **fields: str) -> None:
        """Change a webhook; ``status="active"`` wakes one that the shop has disabled, but keeps its failure count."""
        self._wire.reading(lambda: self._call("PUT", f"webhooks/{webhook_id}", "webhook", fields))

    def delete_webhook(self, webhook_id: int) -> None:
        """Remove a webhook for good."""
        self._call("DELETE", f"webhooks/{webhook_id}", "webhook", force="true")
