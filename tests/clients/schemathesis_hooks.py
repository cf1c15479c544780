"""Makes requests that fit the document also mean something. What no schema can say is said here, once:

- an `Idempotency-Key` is new for every write, and `after` is a cursor that a page gave;
- a write on many rows names at least one filter;
- `select` names nothing twice, and a row has every field of its schema when `*` is among what was asked for;
- a filter begins with an operator, also where an id was taken from a reply;
- `columns` keeps what a new row needs, and takes members out of a body whether they are known or not;
- functions that give rows give products;
- a reference names a row that is there, an id carries the bucket of its shard key, a time that the server made stays;
- no text inside a JSON field holds the character NUL.
"""

import json
import os
import urllib.request
import uuid

import schemathesis

BASE, TOKEN = os.environ["STOA_BASE"], os.environ["STOA_TOKEN"]
NEEDED = {"products": ["name", "sku", "price"], "orders": ["product_id", "quantity"]}
FIELDS = {
    "products": ["id", "name", "sku", "price", "stock", "tags", "details", "created_at"],
    "orders": ["id", "customer_id", "product_id", "quantity", "status", "note", "created_at"],
}
SHARED = ["select", "order", "limit", "offset", "columns", "on_conflict"]


def ask(path, body=None):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(BASE + path, data=data, headers=headers)) as reply:
        return json.load(reply)


def product():
    """The id of a product that is there."""
    found = ask("/products?select=id&limit=1")
    number = uuid.uuid4().int % 10000
    new = {"name": "for an order", "sku": f"ORD-{number:04}", "price": 1}
    return found[0]["id"] if found else ask("/products", new)["id"]


def order():
    """The id of an order of the caller that is there."""
    found = ask("/orders?select=id&limit=1")
    return found[0]["id"] if found else ask("/orders", {"product_id": product(), "quantity": 1})["id"]


def items(text):
    """The items of a `select`, split at the commas outside of parentheses."""
    depth, start = 0, 0
    for at, char in enumerate(text + ","):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            yield text[start:at]
            start = at + 1


def selection(text, fields):
    """Every field, and what else a `select` asks for, once by each name that no field has."""
    named = {}
    for item in items(text):
        head, _, inside = item.partition("(")
        label = head.split(":")[0] if ":" in head else head.split(">")[-1]
        if inside:
            inside = [name for name in dict.fromkeys(inside[:-1].split(","))]
            item = f"{head}({','.join(inside)})"
        if label not in fields and item != "*":
            named.setdefault(label, item)
    return ",".join(["*", *named.values()])


def without_nul(value):
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return value


def fit_query(case, resource, query):
    query.pop("after", None)
    if query.get("select"):
        query["select"] = selection(query["select"], FIELDS.get(resource, FIELDS["products"]))
    if case.method == "POST" and "columns" in query:
        query["columns"] = ",".join(dict.fromkeys(NEEDED[resource] + query["columns"].split(",")))
    for name in set(query) & set(FIELDS.get(resource, [])):
        if "." not in str(query[name]):
            query[name] = f"eq.{query[name]}"
    many = resource in FIELDS and case.method in ("PATCH", "DELETE") and "{" not in case.path
    if many and not any(name not in SHARED for name in query):
        query["id"] = f"eq.{uuid.uuid4()}"


def fit_body(case, resource, row):
    if case.method == "PUT":
        row.pop("created_at", None)
        row.pop("id", None)
    if "details" in row:
        row["details"] = without_nul(row["details"])
    if resource == "orders":
        if "product_id" in row:
            row["product_id"] = product()
        if case.method == "POST":
            row.pop("id", None)


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None:
        return
    query = case.query if isinstance(case.query, dict) else {}
    if case.method == "PATCH":
        query.pop("columns", None)
    if not case.meta.generation.mode.is_positive:
        return
    resource = case.path.split("/")[1]
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    fit_query(case, resource, query)
    for row in case.body if isinstance(case.body, list) else [case.body]:
        if isinstance(row, dict):
            fit_body(case, resource, row)
    if case.method == "PUT" and resource == "orders":
        case.path_parameters["id"] = order()
