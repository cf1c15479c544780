// `GET /list`: 100 rows of the table `plain`, as one writes it on Fastify and pg. With a schema of the reply, which
// makes Fastify's serializer the fast one, and as many connections as a worker of Stoa shares.
import Fastify from "fastify";
import pg from "pg";

const [port, url] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: url, max: 2 });
const text = { type: "string" };
const row = { type: "object", properties: { id: text, name: text, price: text, stock: { type: "integer" }, created_at: text } };
const schema = { response: { 200: { type: "array", items: row } } };
const LIST = { name: "list", text: "SELECT id, name, price, stock, created_at FROM plain ORDER BY id LIMIT 100" };

const server = Fastify({ logger: false });
server.get("/list", { schema }, async () => (await pool.query(LIST)).rows);
await server.listen({ port: Number(port), host: "127.0.0.1" });
