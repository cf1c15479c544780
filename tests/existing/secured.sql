-- Row-level security as users of PostgREST write it.
CREATE ROLE authenticator LOGIN NOINHERIT; CREATE ROLE web_anon; CREATE ROLE web_user; CREATE ROLE hidden;
GRANT web_anon, web_user, hidden TO authenticator;
CREATE SCHEMA api;
CREATE TABLE api.lists (id serial PRIMARY KEY, owner text NOT NULL DEFAULT current_setting('request.jwt.claims')::json->>'sub');
CREATE TABLE api.todos (id serial PRIMARY KEY, list_id int NOT NULL REFERENCES api.lists, task text NOT NULL,
    owner text NOT NULL DEFAULT current_setting('request.jwt.claims')::json->>'sub');
ALTER TABLE api.lists ENABLE ROW LEVEL SECURITY;
ALTER TABLE api.todos ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON api.lists USING (owner = current_setting('request.jwt.claims', true)::json->>'sub');
CREATE POLICY own ON api.todos USING (owner = current_setting('request.jwt.claims', true)::json->>'sub');
CREATE VIEW api.asked AS SELECT current_user AS role, current_setting('request.method') AS method,
    current_setting('request.path') AS path, current_setting('request.headers')::json->>'x-seen' AS seen,
    current_setting('request.headers')::json->>'authorization' AS secret,
    current_setting('request.jwt.claims')::json->>'role' AS claimed;
GRANT USAGE ON SCHEMA api TO web_anon, web_user;
GRANT SELECT ON api.asked TO web_anon, web_user;
GRANT ALL ON api.lists, api.todos TO web_user;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA api TO web_user;
CREATE FUNCTION api.mine(word text DEFAULT '') RETURNS SETOF api.todos STABLE LANGUAGE sql
    AS 'SELECT * FROM api.todos WHERE task LIKE word || ''%'' ORDER BY id';
CREATE FUNCTION api.add_todo(list int, task text) RETURNS api.todos LANGUAGE sql
    AS 'INSERT INTO api.todos (list_id, task) VALUES (list, task) RETURNING *';
CREATE FUNCTION api.whoami() RETURNS json STABLE LANGUAGE sql AS $$ SELECT json_build_object('role', current_user,
    'sub', current_setting('request.jwt.claims')::json->>'sub', 'method', current_setting('request.method'),
    'path', current_setting('request.path'), 'seen', current_setting('request.headers')::json->>'x-seen',
    'secret', current_setting('request.headers')::json->>'authorization') $$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA api FROM public;
GRANT EXECUTE ON FUNCTION api.mine, api.add_todo TO web_user;
GRANT EXECUTE ON FUNCTION api.whoami TO web_anon, web_user;
