// Reads and writes with @supabase/supabase-js: BASE TOKEN, where BASE is without `/rest/v1`.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.NODE_FOLDER}/`)
const { createClient } = require('@supabase/supabase-js')

const [base, token] = process.argv.slice(2)
// The key of a project is sent as `apikey`, which means nothing here; the token is the caller's own.
const supabase = createClient(base, 'any-key', {
  accessToken: async () => token,
  // Node.js 20 has no WebSocket, and nothing here opens one.
  realtime: { transport: class {} },
})

/** The answer to a query that must be good. */
async function good(query) {
  const answer = await query
  assert.equal(answer.error, null, JSON.stringify(answer.error))
  return answer
}

await good(supabase.from('authors').insert([{ id: 1, name: 'Ann' }, { id: 2, name: 'Bob' }]))
const made = await good(supabase.from('books').insert({ id: 10, title: 'Ten', tags: ['a', 'b'], author_id: 1 }).select().single())
assert.deepEqual(made.data, { id: 10, title: 'Ten', price: 1, tags: ['a', 'b'], author_id: 1 })
await good(supabase.from('books').insert([{ id: 11, title: 'Eleven, or more' }, { id: 12, title: 'Twelve' }], { defaultToNull: false }))

const quoted = await good(supabase.from('books').select('id').in('title', ['Eleven, or more', 'Ten']).order('id'))
assert.deepEqual(quoted.data, [{ id: 10 }, { id: 11 }])
const any = await good(supabase.from('books').select('id').likeAnyOf('title', ['T%n', 'Tw%']).order('id'))
assert.deepEqual(any.data, [{ id: 10 }, { id: 12 }])
const all = await good(supabase.from('books').select('id').ilikeAllOf('title', ['%TE%', '%n']))
assert.deepEqual(all.data, [{ id: 10 }])
const overlap = await good(supabase.from('books').select('id').overlaps('tags', ['b', 'z']))
assert.deepEqual(overlap.data, [{ id: 10 }])
const page = await good(supabase.from('books').select('id', { count: 'exact' }).order('id').range(1, 1))
assert.deepEqual([page.data, page.count, page.status], [[{ id: 11 }], 3, 206])
const csv = await good(supabase.from('books').select('id,title').order('id').limit(1).csv())
assert.equal(csv.data, 'id,title\n10,Ten')
const author = await good(supabase.from('books').select('id, authors!inner(name)').eq('authors.name', 'Ann'))
assert.deepEqual(author.data, [{ id: 10, authors: { name: 'Ann' } }])

const wide = await supabase.from('books').delete().gte('id', 10).maxAffected(1)
assert.equal(wide.error.code, 'PGRST124')
await good(supabase.from('books').upsert({ id: 12, title: 'Dozen' }))
const renamed = await good(supabase.from('books').update({ price: 2 }).eq('id', 12).select('title,price').maybeSingle())
assert.deepEqual(renamed.data, { title: 'Dozen', price: 2 })
const removed = await good(supabase.from('books').delete({ count: 'exact' }).gt('id', 10))
assert.equal(removed.count, 2)

const unknown = await supabase.from('bookz').select()
assert.deepEqual([unknown.error.code, unknown.error.hint], ['PGRST205', "Perhaps you meant the table 'public.books'"])
const schema = await supabase.schema('other').from('books').select()
assert.equal(schema.error.code, 'PGRST106')
const missing = await supabase.rpc('nothing', { a: 1 })
assert.equal(missing.error.code, 'PGRST202')

console.log('all questions answered')
process.exit(0)
