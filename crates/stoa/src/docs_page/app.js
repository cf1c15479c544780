// Shows /openapi.json. Everything from the document becomes text nodes, never markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
const byId = (id) => document.getElementById(id);
let api;

/** An element with attributes and children; strings become text. */
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child != null && child !== "") node.append(child);
  }
  return node;
}

/** Paragraphs, `code` and [links](https://…): the little Markdown that descriptions use. */
function prose(text) {
  return (text || "").split(/\n\n+/).filter(Boolean).map((p) => el("p", null, inline(p)));
}

function inline(text) {
  const parts = [];
  const pattern = /`([^`]+)`|\[`?([^\]`]+)`?\]\((https:\/\/[^)\s]+)\)/g;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(end, match.index));
    parts.push(match[1] ? el("code", null, match[1]) : el("a", { href: match[3], rel: "noreferrer" }, match[2]));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

/** Follows a `$ref` inside the document. */
function resolve(node) {
  let hops = 0;
  while (node && node.$ref && hops++ < 8) {
    node = node.$ref.slice(2).split("/").reduce((at, key) => at && at[key.replace(/~1/g, "/").replace(/~0/g, "~")], api);
  }
  return node || {};
}

function refName(node) {
  return node && node.$ref ? node.$ref.split("/").pop() : null;
}

/** A schema in a few words, with links to the named ones. */
function typeOf(schema) {
  const name = refName(schema);
  if (name) return [el("a", { href: `#schema-${name}` }, name)];
  if (!schema || !Object.keys(schema).length) return ["any"];
  if (schema.oneOf || schema.anyOf) {
    return (schema.oneOf || schema.anyOf).flatMap((s, i) => (i ? [" or ", ...typeOf(s)] : typeOf(s)));
  }
  const type = [].concat(schema.type || "any").filter((t) => t !== "null").join(" or ");
  const format = schema.format ? ` (${schema.format})` : "";
  const nullable = [].concat(schema.type).includes("null") ? " or null" : "";
  if (type === "array") return ["list of ", ...typeOf(schema.items), nullable];
  if (schema.enum) return [schema.enum.map((v) => JSON.stringify(v)).join(" | ")];
  return [type + format + nullable];
}

function constraints(schema) {
  const said = [];
  const say = (key, text) => { if (schema[key] !== undefined) said.push(`${text} ${schema[key]}`); };
  if (schema.minLength !== undefined || schema.maxLength !== undefined) {
    said.push(`${schema.minLength ?? 0}–${schema.maxLength ?? "…"} characters`);
  }
  if (schema.minItems !== undefined || schema.maxItems !== undefined) {
    said.push(`${schema.minItems ?? 0}–${schema.maxItems ?? "…"} items`);
  }
  say("minimum", "at least");
  say("maximum", "at most");
  if (schema.default !== undefined) said.push(`default ${JSON.stringify(schema.default)}`);
  if (schema.readOnly) said.push("read only");
  return said.length ? el("p", { class: "quiet" }, said.join(" · ")) : null;
}

function table(headings, rows) {
  return el("div", { class: "wide" }, el("table", null,
    el("thead", null, el("tr", null, headings.map((h) => el("th", { scope: "col" }, h)))),
    el("tbody", null, rows)));
}

function need(required) {
  return required ? el("span", { class: "need" }, " required") : null;
}

function parameterTable(parameters) {
  const rows = parameters.map((p) => el("tr", null,
    el("td", null, el("code", null, p.name), need(p.required)),
    el("td", null, p.in),
    el("td", null, typeOf(p.schema)),
    el("td", null, prose(p.description))));
  return table(["Parameter", "In", "Type", "Meaning"], rows);
}

function schemaTable(schema) {
  const required = schema.required || [];
  const rows = Object.entries(schema.properties || {}).map(([name, field]) => el("tr", null,
    el("td", null, el("code", null, name), need(required.includes(name))),
    el("td", null, typeOf(field)),
    el("td", null, prose(resolve(field).description), constraints(field),
      field.pattern ? el("p", { class: "quiet" }, "matches ", el("code", null, field.pattern)) : null)));
  return rows.length ? table(["Member", "Type", "Meaning"], rows) : el("p", null, typeOf(schema));
}

/** A body that fits a schema, to begin with. */
function sample(schema, depth = 0) {
  schema = resolve(schema);
  if (depth > 5) return null;
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.oneOf) return sample(schema.oneOf[0], depth + 1);
  if (schema.enum) return schema.enum[0];
  const type = [].concat(schema.type || "object")[0];
  if (type === "object") {
    const wanted = schema.required || Object.keys(schema.properties || {}).slice(0, 1);
    return Object.fromEntries(wanted.map((key) => [key, sample((schema.properties || {})[key] || {}, depth + 1)]));
  }
  if (type === "array") return [];
  if (type === "integer") return Math.max(1, schema.minimum || 1);
  if (type === "number") return Math.max(1, schema.minimum || 1);
  if (type === "boolean") return true;
  if (schema.format === "uuid") return crypto.randomUUID ? crypto.randomUUID() : "00000000-0000-4000-8000-000000000000";
  if (schema.format === "date") return new Date().toISOString().slice(0, 10);
  if (schema.format === "date-time") return new Date().toISOString();
  if (schema.pattern) return fitting(schema.pattern);
  return "text".padEnd(schema.minLength || 0, "x").slice(0, schema.maxLength || 99);
}

/** A text for simple patterns: classes, literals and counts. */
function fitting(pattern) {
  let text = "";
  const simple = pattern.replace(/^\^(?:\(\?:)?|\)?\$$/g, "");
  for (const [, group, plain, count] of simple.matchAll(/(?:\[([^\]]+)\]|(\\?[^{}*+?()|]))(?:\{(\d+)[^}]*\})?/g)) {
    const one = group ? group[0] : { "\\d": "0", "\\w": "a", "\\s": " " }[plain] || plain.slice(-1);
    text += one.repeat(Math.min(Number(count || 1), 64));
  }
  return text;
}

function responses(operation) {
  const headings = ["Status", "Body", "Meaning"];
  const all = Object.entries(operation.responses).map(([status, answer]) => {
    const shown = resolve(answer);
    const schemas = [...new Map(Object.values(shown.content || {}).map((c) => [JSON.stringify(c.schema), c.schema])).values()];
    const fields = Object.keys(shown.headers || {}).filter((h) => h !== "x-request-id" && h !== "traceparent");
    return [status >= 400, el("tr", null,
      el("td", null, el("span", { class: status < 400 ? "ok" : status > 0 ? "bad" : "quiet" }, status)),
      el("td", null, schemas.map((schema) => el("p", null, typeOf(schema)))),
      el("td", null, prose(shown.description), fields.length ? el("p", { class: "quiet" }, "with ", fields.join(", ")) : null))];
  });
  const rows = (refused) => all.filter(([r]) => r === refused).map(([, row]) => row);
  const refusals = rows(true);
  return [
    table(headings, rows(false)),
    refusals.length ? el("details", { class: "more" }, el("summary", null, `${refusals.length} refusals`), table(headings, refusals)) : null,
  ];
}

/** JSON with line breaks. Numbers stay as they came: JavaScript would round long ones. */
function laidOut(json) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return json.replace(/"(?:\\.|[^"\\])*"|[[{]\s*[\]}]|[[{\]},:]|\s+/g, (token) => {
    if (token === "[" || token === "{") { depth += 1; return token + line(); }
    if (token === "]" || token === "}") { depth = Math.max(0, depth - 1); return line() + token; }
    if (token === ",") return token + line();
    if (token === ":") return ": ";
    return /^\s/.test(token) ? "" : token;
  });
}

function quote(text) {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

/** The form that sends a request, and the same as a line for the shell. */
function tryIt(method, path, operation, parameters, id) {
  const inputs = parameters.map((p) => {
    const field = `${id}-${p.in}-${p.name}`;
    const input = el("input", { id: field, autocomplete: "off", spellcheck: "false", placeholder: p.example ? `${p.example}` : "" });
    return { p, input, label: el("label", { for: field }, p.name, need(p.required)) };
  });
  const types = Object.keys((operation.requestBody || {}).content || {});
  let body = null;
  if (types.length) {
    const schema = operation.requestBody.content[types[0]].schema;
    body = el("textarea", { id: `${id}-body`, spellcheck: "false", "aria-label": "Body" });
    const anything = types[0] === "*/*";
    body.value = anything ? "" : JSON.stringify(sample(schema), null, 2);
  }
  const type = types[0] === "*/*" ? "application/json" : types[0];
  const curl = el("pre", { tabindex: "0", "aria-label": "As a line for the shell" });
  const result = el("div", { role: "status" });

  const build = () => {
    let target = path;
    const query = new URLSearchParams();
    const headers = {};
    for (const { p, input } of inputs) {
      if (!input.value && p.in !== "path") continue;
      if (p.in === "path") target = target.replace(`{${p.name}}`, encodeURIComponent(input.value));
      if (p.in === "query") query.append(p.name, input.value);
      if (p.in === "header") headers[p.name] = input.value;
    }
    const token = byId("token").value.trim();
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body && body.value) headers["Content-Type"] = type;
    const search = query.toString();
    return { url: target + (search ? `?${search}` : ""), headers, body: body && body.value ? body.value : undefined };
  };
  const show = () => {
    const { url, headers, body: text } = build();
    const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}${quote(location.origin + url)}`];
    for (const [name, value] of Object.entries(headers)) {
      lines.push(`-H ${quote(`${name}: ${name === "Authorization" ? "Bearer $TOKEN" : value}`).replace("$TOKEN'", `'"$TOKEN"`)}`);
    }
    if (text) lines.push(`-d ${quote(text)}`);
    curl.textContent = lines.join(" \\\n  ");
  };
  const send = async (event) => {
    event.preventDefault();
    const { url, headers, body: text } = build();
    result.replaceChildren("Sending …");
    const started = performance.now();
    try {
      const reply = await fetch(url, { method: method.toUpperCase(), headers, body: text, cache: "no-store" });
      const raw = await reply.text();
      const took = Math.round(performance.now() - started);
      const shown = /json/.test(reply.headers.get("content-type") || "") ? laidOut(raw) : raw;
      const fields = [...reply.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      result.replaceChildren(
        el("p", null, el("span", { class: reply.ok ? "ok" : "bad" }, `${reply.status} ${reply.statusText}`), el("span", { class: "quiet" }, ` ${took} ms`)),
        el("pre", { tabindex: "0", "aria-label": "Header of the reply" }, fields),
        shown ? el("pre", { tabindex: "0", "aria-label": "Body of the reply" }, shown) : "");
    } catch (error) {
      result.replaceChildren(el("p", { class: "bad" }, `Not sent: ${error.message}`));
    }
  };
  const copy = (event) => {
    const button = event.target;
    const say = (text) => { button.textContent = text; setTimeout(() => { button.textContent = "Copy curl"; }, 1500); };
    if (!navigator.clipboard) return say("Select the text");
    navigator.clipboard.writeText(curl.textContent).then(() => say("Copied"), () => say("Select the text"));
  };
  const form = el("form", { class: "try", onsubmit: send, oninput: show },
    el("h4", null, "Try it"),
    inputs.length ? el("div", { class: "fields" }, inputs.map((i) => [i.label, i.input])) : null,
    body ? [el("label", { for: `${id}-body`, class: "quiet" }, `Body, ${type}`), body] : null,
    el("div", { class: "row" }, el("button", { class: "send", type: "submit" }, "Send"), el("button", { type: "button", onclick: copy }, "Copy curl")),
    curl, result);
  byId("token").addEventListener("input", show);
  show();
  return form;
}

function operationView(method, path, operation, shared) {
  const id = operation.operationId || `${method}${path}`;
  const parameters = [...(shared || []), ...(operation.parameters || [])].map(resolve);
  const access = operation["x-stoa-access"];
  const inside = el("div", { class: "inside" });
  const fill = () => {
    if (inside.childNodes.length) return;
    const content = (operation.requestBody || {}).content || {};
    const bodies = Object.entries(content).map(([type, c]) => el("p", null, el("code", null, type), " ", typeOf(c.schema)));
    const first = resolve((Object.values(content)[0] || {}).schema);
    const members = resolve((first.oneOf || [first])[0]);
    if (members.properties) bodies.push(schemaTable(members));
    inside.append(
      ...prose(operation.description),
      el("p", { class: "quiet" }, "operationId ", el("code", null, id)),
      ...(parameters.length ? [el("h4", null, "Parameters"), parameterTable(parameters)] : []),
      ...(bodies.length ? [el("h4", null, "Body"), ...bodies] : []),
      el("h4", null, "Answers"), ...responses(operation).filter(Boolean),
      tryIt(method, path, operation, parameters, id));
  };
  const view = el("details", { class: "op", id },
    el("summary", null,
      el("span", { class: `method ${method}` }, method),
      el("span", { class: "path" }, path),
      el("span", null, operation.summary || ""),
      access ? el("span", { class: "access", title: `Access: ${access}` }, access) : null),
    inside);
  view.addEventListener("toggle", () => view.open && fill());
  return view;
}

function link(method, path, operation) {
  const id = operation.operationId;
  return el("li", { "data-find": `${method} ${path} ${id} ${operation.summary}`.toLowerCase() },
    el("a", { href: `#${id}` }, el("span", { class: `method ${method}` }, method), el("span", null, path)));
}

function render() {
  byId("title").textContent = api.info.title;
  byId("version").textContent = `version ${api.info.version}`;
  const content = byId("content");
  content.replaceChildren(el("h1", null, api.info.title), ...prose(api.info.description));
  const tags = new Map((api.tags || []).map((t) => [t.name, { about: t.description, operations: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((m) => item[m])) {
      const tag = (item[method].tags || ["Other"])[0];
      if (!tags.has(tag)) tags.set(tag, { operations: [] });
      tags.get(tag).operations.push([method, path, item[method], item.parameters]);
    }
  }
  const nav = byId("nav");
  for (const [name, { about, operations }] of tags) {
    nav.append(el("section", null, el("h2", null, name), el("ul", null, operations.map(([m, p, o]) => link(m, p, o)))));
    content.append(el("section", null, el("h2", null, name), ...prose(about), operations.map((o) => operationView(...o))));
  }
  const schemas = Object.entries((api.components || {}).schemas || {});
  content.append(el("section", null, el("h2", null, "Schemas"), schemas.map(([name, schema]) =>
    el("details", { class: "op", id: `schema-${name}` }, el("summary", null, el("span", { class: "path" }, name)),
      el("div", { class: "inside" }, prose(schema.description), schemaTable(schema))))));
}

/** Opens what the address names. */
function follow() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
    target.querySelector("summary").focus({ preventScroll: true });
  }
}

function find() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of document.querySelectorAll("#nav li")) {
    item.hidden = !words.every((word) => item.dataset.find.includes(word));
  }
  for (const section of document.querySelectorAll("#nav section")) {
    section.hidden = !section.querySelector("li:not([hidden])");
  }
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("stoa-theme", root.dataset.theme);
}

async function start() {
  const kept = localStorage.getItem("stoa-theme");
  if (kept) document.documentElement.dataset.theme = kept;
  // The token stays in this tab and ends with it.
  byId("token").value = sessionStorage.getItem("stoa-token") || "";
  byId("token").addEventListener("input", () => sessionStorage.setItem("stoa-token", byId("token").value));
  byId("theme").addEventListener("click", theme);
  byId("search").addEventListener("input", find);
  window.addEventListener("hashchange", follow);
  try {
    const reply = await fetch("/openapi.json");
    if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
    api = await reply.json();
    render();
    follow();
  } catch (error) {
    byId("state").textContent = `openapi.json could not be read: ${error.message}`;
  }
}

start();
