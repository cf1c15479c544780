// Reads and writes with @supabase/postgrest-js: BASE TOKEN.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.NODE_FOLDER}/`)
const { PostgrestClient } = require('@supabase/postgrest-js')

const [base, token] = process.argv.slice(2)
const db = new PostgrestClient(base, { headers: { Authorization: `Bearer ${token}` } })
const stranger = new PostgrestClient(base)

/** The data of an answer that must be good. */
async function good(query, status) {
  const { data, error, status: found, count } = await query
  assert.equal(error, null, JSON.stringify(error))
  if (status) assert.equal(found, status)
  return { data, count }
}

// Writing
await good(db.from('authors').insert([{ id: 1, name: 'Ann', born: 1950 }, { id: 2, name: 'Bob' }]), 201)
const made = await good(db.from('books').insert({ id: 10, title: 'Ten', price: 9.5, tags: ['a', 'b'], author_id: 1 }).select(), 201)
assert.deepEqual(made.data, [{ id: 10, title: 'Ten', price: 9.5, tags: ['a', 'b'], author_id: 1 }])
const one = await good(db.from('books').insert({ id: 11, title: 'Eleven', author_id: 1 }).select('id,title').single(), 201)
assert.deepEqual(one.data, { id: 11, title: 'Eleven' })
await good(db.from('books').insert([{ id: 12, title: 'Twelve', author_id: 2 }, { id: 13, title: 'Thirteen' }]))

// Filters
const ids = async (query) => (await good(query)).data.map((row) => row.id)
const books = () => db.from('books').select('id').order('id')
assert.deepEqual(await ids(books().eq('title', 'Ten')), [10])
assert.deepEqual(await ids(books().neq('title', 'Ten')), [11, 12, 13])
assert.deepEqual(await ids(books().gt('id', 11)), [12, 13])
assert.deepEqual(await ids(books().gte('id', 11).lt('id', 13)), [11, 12])
assert.deepEqual(await ids(books().lte('price', 1)), [11, 12, 13])
assert.deepEqual(await ids(books().like('title', 'T%')), [10, 12, 13])
assert.deepEqual(await ids(books().ilike('title', '%EN')), [10, 11, 13])
assert.deepEqual(await ids(books().is('author_id', null)), [13])
assert.deepEqual(await ids(books().in('id', [10, 13, 99])), [10, 13])
assert.deepEqual(await ids(books().in('title', ['Ten', 'a, "b"'])), [10])
assert.deepEqual(await ids(books().not('author_id', 'is', null)), [10, 11, 12])
assert.deepEqual(await ids(books().or('id.eq.10,title.eq.Twelve')), [10, 12])
assert.deepEqual(await ids(books().match({ id: 10, title: 'Ten' })), [10])
assert.deepEqual(await ids(books().contains('tags', ['a'])), [10])

// Order, pages, counts
const page = await good(db.from('books').select('id', { count: 'exact' }).order('id', { ascending: false }).range(1, 2))
assert.deepEqual(page, { data: [{ id: 12 }, { id: 11 }], count: 4 })
const head = await good(db.from('books').select('*', { count: 'exact', head: true }))
assert.equal(head.count, 4)
const nulls = await good(db.from('authors').select('id').order('born', { ascending: true, nullsFirst: true }))
assert.deepEqual(nulls.data, [{ id: 2 }, { id: 1 }])

// Relatives
const parent = await good(db.from('books').select('title, authors(name)').eq('id', 10).single())
assert.deepEqual(parent.data, { title: 'Ten', authors: { name: 'Ann' } })
const children = await good(db.from('authors').select('name, books(id)').order('id').order('id', { referencedTable: 'books' }))
assert.deepEqual(children.data, [{ name: 'Ann', books: [{ id: 10 }, { id: 11 }] }, { name: 'Bob', books: [{ id: 12 }] }])
const renamed = await good(db.from('books').select('name:title, writer:authors(name)').eq('id', 12).single())
assert.deepEqual(renamed.data, { name: 'Twelve', writer: { name: 'Bob' } })

const kept = await good(db.from('authors').select('name, books(id, title)').order('id').limit(1, { referencedTable: 'books' }).order('id', { referencedTable: 'books', ascending: false }))
assert.deepEqual(kept.data[0], { name: 'Ann', books: [{ id: 11, title: 'Eleven' }] })
const inner = await good(db.from('authors').select('name, books!inner()').eq('books.title', 'Twelve'))
assert.deepEqual(inner.data, [{ name: 'Bob' }])
const either = await good(db.from('authors').select('name, books!inner(id)').or('title.eq.Ten,title.eq.Twelve', { referencedTable: 'books' }).order('id'))
assert.deepEqual(either.data, [{ name: 'Ann', books: [{ id: 10 }] }, { name: 'Bob', books: [{ id: 12 }] }])
const orphans = await good(db.from('books').select('id, authors()').is('authors', null))
assert.deepEqual(orphans.data, [{ id: 13 }])
await good(db.from('shops').insert([{ id: 1, name: 'Corner' }, { id: 2, name: 'Mall' }]), 201)
await good(db.from('offers').insert([{ id: 1, shop_id: 1, book_id: 10 }, { id: 2, shop_id: 1, book_id: 12 }, { id: 3, shop_id: 2, book_id: 10 }]), 201)
const through = await good(db.from('shops').select('name, books(title, authors(name))').order('id').order('id', { referencedTable: 'books' }))
assert.deepEqual(through.data, [
  { name: 'Corner', books: [{ title: 'Ten', authors: { name: 'Ann' } }, { title: 'Twelve', authors: { name: 'Bob' } }] },
  { name: 'Mall', books: [{ title: 'Ten', authors: { name: 'Ann' } }] },
])
const deep = await good(db.from('offers').select('id, shops!inner(name), books!offers_book_id_fkey(authors(name))').eq('shops.name', 'Mall'))
assert.deepEqual(deep.data, [{ id: 3, shops: { name: 'Mall' }, books: { authors: { name: 'Ann' } } }])
const spread = await good(db.from('books').select('title, ...authors(author:name)').order('authors(name)').order('id').limit(2))
assert.deepEqual(spread.data, [{ title: 'Ten', author: 'Ann' }, { title: 'Eleven', author: 'Ann' }])
const lists = await good(db.from('authors').select('name, ...books(titles:title)').order('id').order('id', { referencedTable: 'books' }))
assert.deepEqual(lists.data, [{ name: 'Ann', titles: ['Ten', 'Eleven'] }, { name: 'Bob', titles: ['Twelve'] }])
const counted = await good(db.from('authors').select('name, books(count)').order('id'))
assert.deepEqual(counted.data, [{ name: 'Ann', books: [{ count: 2 }] }, { name: 'Bob', books: [{ count: 1 }] }])
const sums = await good(db.from('books').select('author_id, price.sum(), n:count()').not('author_id', 'is', null).order('author_id'))
assert.deepEqual(sums.data, [{ author_id: 1, sum: 10.5, n: 2 }, { author_id: 2, sum: 1, n: 1 }])
const cast = await good(db.from('books').select('price::text, tags->>0').eq('id', 10).single())
assert.deepEqual(cast.data, { price: '9.50', tags: 'a' })
const vague = await db.from('authors').select('name, magazines(*)')
assert.equal(vague.error.code, 'PGRST200')
await good(db.from('offers').delete().gt('id', 0), 204)

// One or none
assert.equal((await good(db.from('books').select().eq('id', 99).maybeSingle())).data, null)
const none = await db.from('books').select().eq('id', 99).single()
assert.equal(none.error.code, 'PGRST116')
assert.equal(none.status, 406)

// Changing
await good(db.from('books').update({ price: 3 }).eq('id', 11), 204)
const changed = await good(db.from('books').update({ price: '4.25' }).gte('id', 12).select('id,price').order('id'))
assert.deepEqual(changed.data.sort((a, b) => a.id - b.id), [{ id: 12, price: 4.25 }, { id: 13, price: 4.25 }])
await good(db.from('authors').upsert({ id: 1, name: 'Anna' }))
const merged = await good(db.from('authors').upsert([{ id: 9, name: 'Bob', born: 1960 }], { onConflict: 'name' }).select())
assert.equal(merged.data[0].born, 1960)
await good(db.from('authors').upsert({ id: 1, name: 'Nobody' }, { ignoreDuplicates: true }))
assert.equal((await good(db.from('authors').select('name').eq('id', 1).single())).data.name, 'Anna')
const removed = await good(db.from('books').delete({ count: 'exact' }).eq('id', 13))
assert.equal(removed.count, 1)

// Refusals are read as errors
const clash = await db.from('books').insert({ id: 10, title: 'again' })
assert.equal(clash.status, 409)
assert.equal(clash.error.code, '23505')
const unknown = await db.from('books').select('titel')
assert.equal(unknown.status, 400)
assert.ok(unknown.error.message && unknown.error.hint.includes('title'), JSON.stringify(unknown.error))
const nowhere = await db.from('boks').select()
assert.equal(nowhere.error.code, 'PGRST205')
const refused = await stranger.from('books').insert({ id: 99, title: 'x' })
assert.equal(refused.status, 401)
assert.ok(refused.error.message)

console.log('all questions answered')
