-- A database that others made, with all that may be met in one.
CREATE SCHEMA api;
CREATE SCHEMA "my.schema";
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE odd AS ENUM ('a,b', 'it''s');
CREATE TYPE address AS (street text, nr int);
CREATE DOMAIN amount AS numeric(10,2);
CREATE DOMAIN positive AS amount CHECK (value > 0);

CREATE TABLE kinds (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    free numeric, bounded numeric(12,2), coarse numeric(5,-2), money money, inet inet, cidr cidr, mac macaddr, uuid uuid,
    bytes bytea, span interval, clock_tz timetz, clock time, at timestamp, at_tz timestamptz(3), day date, json json,
    jsonb jsonb, range int4range, times tstzrange, ranges int4multirange, words tsvector, search tsquery, bits bit(3),
    varbits varbit, xml xml, point point, pad char(4), short varchar(10), name name, oid oid, lsn pg_lsn,
    ratio real, wide double precision, ok bool, small smallint, large bigint, mood mood, odd odd, address address,
    positive positive, ints int[], texts text[], inets inet[], moods mood[], odds odd[], decimals numeric(6,2)[],
    stamps timestamp[], pads char(3)[], jsons jsonb[], byteses bytea[], addresses address[], grid int[], clocks time[]);
INSERT INTO kinds (free) VALUES (1.25);
INSERT INTO kinds (free, at, day, at_tz, wide, grid) VALUES
    ('NaN', 'infinity', '-infinity', '0044-03-15 BC', 'Infinity', '{{1,2},{3,4}}'),
    (1.23456, '20240-01-01', '20240-01-01', 'infinity', 1, '{}');

CREATE TABLE defaults (
    id serial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), n int NOT NULL DEFAULT 5, maybe int DEFAULT 6,
    code uuid NOT NULL DEFAULT gen_random_uuid(), twice int GENERATED ALWAYS AS (n * 2) STORED, must text NOT NULL);
COMMENT ON TABLE defaults IS E'What fills\nitself in # here';
COMMENT ON COLUMN defaults.n IS 'how many';
CREATE TABLE tickets (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);

CREATE TABLE "Sel ect" (
    "order" int PRIMARY KEY, "a.b" text, "a,b" text, "q""t" text, "Ünï ☃" text, "UPPER" int, "x:y" text, "limit" int);
INSERT INTO "Sel ect" VALUES (1, 'dot', 'comma', 'quote', 'snow', 3, 'colon', 5);
CREATE TABLE "my.schema"."ta""b.le" (id int PRIMARY KEY, v text);
INSERT INTO "my.schema"."ta""b.le" VALUES (1, 'dotted');
CREATE TABLE "docs" (id int PRIMARY KEY);
CREATE TABLE t23456789_123456789_123456789_123456789_123456789_123456789_123 (id int PRIMARY KEY);

CREATE TABLE authors (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE books (id serial PRIMARY KEY, author_id int REFERENCES authors, title text);
CREATE FUNCTION alike(books) RETURNS SETOF books LANGUAGE sql STABLE AS 'SELECT b.* FROM books b WHERE false';
CREATE FUNCTION caption(books) RETURNS text LANGUAGE sql STABLE AS $$ SELECT $1.id || ': ' || $1.title $$;
CREATE FUNCTION "of,book"(books) RETURNS positive LANGUAGE sql STABLE AS 'SELECT 1.5';
CREATE TABLE tags (id serial PRIMARY KEY, label text);
CREATE TABLE book_tags (book_id int REFERENCES books, tag_id int REFERENCES tags, PRIMARY KEY (book_id, tag_id));
CREATE TABLE places (y int, x text, v text, PRIMARY KEY (x, y));
CREATE TABLE visits (id serial PRIMARY KEY, px text, py int, FOREIGN KEY (px, py) REFERENCES places (x, y));
CREATE TABLE people (id int PRIMARY KEY, boss int REFERENCES people);
CREATE TABLE log (line text, at timestamptz);
CREATE TABLE codes (code text NOT NULL UNIQUE, v int);
CREATE TABLE parts (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE VIEW api.authors AS SELECT id, name AS "full name" FROM authors WHERE name <> 'hidden';
CREATE VIEW api.books AS SELECT id, title, author_id FROM books;
CREATE VIEW api.shelf AS SELECT b.id, b.title, a.name FROM books b JOIN authors a ON a.id = b.author_id;
CREATE MATERIALIZED VIEW titles AS SELECT id, title FROM books;
INSERT INTO authors (name) VALUES ('Ada'), ('hidden');
INSERT INTO books (author_id, title) VALUES (1, 'One'), (2, 'Two');
INSERT INTO tags (label) VALUES ('t');
INSERT INTO book_tags VALUES (1, 1);
INSERT INTO places VALUES (1, 'a', 'v');
REFRESH MATERIALIZED VIEW titles;
