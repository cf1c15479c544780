// Reads and writes with react-admin's @raphiniert/ra-data-postgrest: BASE TOKEN.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.NODE_FOLDER}/`)
const { fetchUtils } = require('ra-core')
const postgrest = require('@raphiniert/ra-data-postgrest')

const [base, token] = process.argv.slice(2)
const httpClient = (url, options = {}) =>
  fetchUtils.fetchJson(url, { ...options, user: { authenticated: true, token: `Bearer ${token}` } })
const admin = (postgrest.default ?? postgrest)({
  apiUrl: base,
  httpClient,
  defaultListOp: 'eq',
  primaryKeys: postgrest.defaultPrimaryKeys,
  schema: postgrest.defaultSchema,
})

const sort = { field: 'id', order: 'ASC' }
const pages = { page: 1, perPage: 2 }

const made = await admin.create('authors', { data: { id: 1, name: 'Ann', born: 1950 } })
assert.deepEqual(made.data, { id: 1, name: 'Ann', born: 1950 })
for (const data of [{ id: 10, title: 'Ten', author_id: 1 }, { id: 11, title: 'Eleven', author_id: 1 }, { id: 12, title: 'Twelve' }]) {
  await admin.create('books', { data })
}

const list = await admin.getList('books', { pagination: pages, sort, filter: {} })
assert.deepEqual([list.data.map((row) => row.id), list.total], [[10, 11], 3])
const second = await admin.getList('books', { pagination: { page: 2, perPage: 2 }, sort, filter: {} })
assert.deepEqual([second.data.map((row) => row.id), second.total], [[12], 3])
const found = await admin.getList('books', { pagination: pages, sort, filter: { 'title@ilike': 'ten' } })
assert.deepEqual([found.data.map((row) => row.id), found.total], [[10], 1])
const one = await admin.getOne('books', { id: 10 })
assert.equal(one.data.title, 'Ten')
const many = await admin.getMany('books', { ids: [10, 12] })
assert.deepEqual(many.data.map((row) => row.id).sort(), [10, 12])
const referring = await admin.getManyReference('books', { target: 'author_id', id: 1, pagination: pages, sort, filter: {} })
assert.deepEqual([referring.data.map((row) => row.id), referring.total], [[10, 11], 2])

const changed = await admin.update('books', { id: 10, data: { ...one.data, title: 'Zehn' }, previousData: one.data })
assert.equal(changed.data.title, 'Zehn')
await admin.updateMany('books', { ids: [11, 12], data: { price: 3 } })
assert.equal((await admin.getOne('books', { id: 12 })).data.price, 3)
await admin.delete('books', { id: 12, previousData: { id: 12 } })
await admin.deleteMany('books', { ids: [10, 11] })
const left = await admin.getList('books', { pagination: pages, sort, filter: {} })
assert.deepEqual([left.data, left.total], [[], 0])

await assert.rejects(admin.getOne('books', { id: 99 }), (error) => error.status === 406)
await assert.rejects(admin.create('books', { data: { id: 13 } }), (error) => error.status === 400 && /title/.test(error.message))

console.log('all questions answered')
process.exit(0)
