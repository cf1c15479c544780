"""Reads and writes with the `postgrest` library: BASE TOKEN."""

import sys

from postgrest import APIError, CountMethod, SyncPostgrestClient

base, token = sys.argv[1:]
db = SyncPostgrestClient(base, headers={"Authorization": f"Bearer {token}"})
stranger = SyncPostgrestClient(base)


def equal(found, wanted):
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def refused(query):
    try:
        query.execute()
    except APIError as error:
        return error
    raise AssertionError("it was not refused")


# Writing
made = db.table("authors").insert([{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]).execute()
equal([row["name"] for row in made.data], ["Ann", "Bob"])
made = db.table("books").insert({"id": 10, "title": "Ten", "price": 9.5, "tags": ["a"], "author_id": 1}).execute()
equal(made.data, [{"id": 10, "title": "Ten", "price": 9.5, "tags": ["a"], "author_id": 1}])
db.table("books").insert([{"id": 11, "title": "Eleven", "author_id": 1}, {"id": 12, "title": "Twelve"}]).execute()


# Filters
def ids(query):
    return [row["id"] for row in query.execute().data]


def books():
    return db.table("books").select("id").order("id")


equal(ids(books().eq("title", "Ten")), [10])
equal(ids(books().neq("title", "Ten")), [11, 12])
equal(ids(books().gt("id", 10).lte("id", 12)), [11, 12])
equal(ids(books().like("title", "T%")), [10, 12])
equal(ids(books().ilike("title", "%EN")), [10, 11])
equal(ids(books().is_("author_id", "null")), [12])
equal(ids(books().in_("id", [10, 12])), [10, 12])
equal(ids(books().not_.is_("author_id", "null")), [10, 11])
equal(ids(books().or_("id.eq.10,title.eq.Twelve")), [10, 12])
equal(ids(books().match({"id": 10, "title": "Ten"})), [10])

# Pages and counts
page = db.table("books").select("id", count=CountMethod.exact).order("id", desc=True).range(1, 2).execute()
equal((page.data, page.count), ([{"id": 11}, {"id": 10}], 3))
equal(db.table("books").select("*", count=CountMethod.exact, head=True).execute().count, 3)

# Relatives
found = db.table("books").select("title, authors(name)").eq("id", 10).single().execute()
equal(found.data, {"title": "Ten", "authors": {"name": "Ann"}})
found = db.table("authors").select("name, books(id)").order("id").execute()
equal([len(row["books"]) for row in found.data], [2, 0])

found = db.table("authors").select("name, books(title)").order("id").order("id", desc=True, foreign_table="books").execute()
equal(found.data[0], {"name": "Ann", "books": [{"title": "Eleven"}, {"title": "Ten"}]})
found = db.table("books").select("title, authors!inner(name)").eq("authors.name", "Ann").order("id").execute()
equal([row["title"] for row in found.data], ["Ten", "Eleven"])
found = db.table("books").select("title, ...authors(author:name)").order("id").limit(1).execute()
equal(found.data, [{"title": "Ten", "author": "Ann"}])
found = db.table("authors").select("name, ...books(titles:title)").eq("id", 2).execute()
equal(found.data, [{"name": "Bob", "titles": []}])
found = db.table("authors").select("name, books(count)").order("id").execute()
equal(found.data, [{"name": "Ann", "books": [{"count": 2}]}, {"name": "Bob", "books": [{"count": 0}]}])
found = db.table("books").select("price.sum(), price.max()").execute()
equal(found.data, [{"sum": 11.5, "max": 9.5}])
db.table("shops").insert({"id": 1, "name": "Corner"}).execute()
db.table("offers").insert([{"id": 1, "shop_id": 1, "book_id": 10}, {"id": 2, "shop_id": 1, "book_id": 12}]).execute()
found = db.table("shops").select("name, books(title, authors(name))").order("id", foreign_table="books").execute()
equal(found.data, [{"name": "Corner", "books": [{"title": "Ten", "authors": {"name": "Ann"}}, {"title": "Twelve", "authors": None}]}])
equal(refused(db.table("authors").select("magazines(*)")).code, "PGRST200")
db.table("offers").delete().gt("id", 0).execute()

# Changing
changed = db.table("books").update({"price": 3}).eq("id", 11).execute()
equal(changed.data[0]["price"], 3)
merged = db.table("authors").upsert({"id": 1, "name": "Anna"}).execute()
equal(merged.data[0]["name"], "Anna")
merged = db.table("authors").upsert({"id": 7, "name": "Bob", "born": 1960}, on_conflict="name").execute()
equal(merged.data[0]["born"], 1960)
equal(len(db.table("books").delete().eq("id", 12).execute().data), 1)

# Refusals are read as errors
equal(refused(db.table("books").insert({"id": 10, "title": "again"})).code, "23505")
equal(refused(db.table("books").select("*").eq("id", 99).single()).code, "PGRST116")
equal(refused(db.table("boks").select("*")).code, "PGRST205")
assert "title" in refused(db.table("books").select("titel")).hint
assert refused(stranger.table("books").insert({"id": 99, "title": "x"})).message

print("all questions answered")
