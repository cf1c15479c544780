-- What PostgreSQL 18 brought.
CREATE EXTENSION btree_gist;
CREATE TABLE prices (
    id uuid PRIMARY KEY DEFAULT uuidv7(), net int NOT NULL, gross int GENERATED ALWAYS AS (net * 2) VIRTUAL);
CREATE TABLE homes (id int, valid daterange, street text, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
CREATE TABLE stays (
    n int PRIMARY KEY, id int, during daterange, UNIQUE (id, during WITHOUT OVERLAPS),
    FOREIGN KEY (id, PERIOD during) REFERENCES homes (id, PERIOD valid));
CREATE TABLE rooms (id int PRIMARY KEY, name text);
CREATE TABLE loose (
    id int PRIMARY KEY, room int REFERENCES rooms NOT ENFORCED, late text, n int CHECK (n > 0) NOT ENFORCED);
INSERT INTO loose VALUES (1, 99, NULL, -1), (2, NULL, 'b', 1), (3, NULL, 'a', 1);
ALTER TABLE loose ADD CONSTRAINT late_there NOT NULL late NOT VALID;
INSERT INTO homes VALUES (1, '[2020-01-01,2021-01-01)', 'A'), (1, '[2021-01-01,2022-01-01)', 'B');
INSERT INTO stays VALUES (1, 1, '[2020-02-01,2021-02-01)');
