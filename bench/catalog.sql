-- Copies the first night into as many datasets and nights as there are to be. What is in
-- braces is put in before: when a night was, in the words of the database.

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :sets)
INSERT INTO datasets (name, source, target, policy, source_store, target_store,
    created_at, has_forgotten)
SELECT 'd' || i, '/data/d' || i, '/backup/d' || i, policy, source_store, target_store,
    created_at, has_forgotten
FROM datasets, n;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :nights)
INSERT INTO runs (id, dataset_id, number, started_at, token, temp_token, state, trigger,
    base_manifest_id, manifest_id, policy, driver_host, driver_pid, driver_pid_started,
    heartbeat_at, ended_at, discovered, counts, live_counts, summary)
SELECT 'r' || d.id || '-' || n.i, d.id, -n.i, {ago}, token, temp_token, state, trigger,
    base_manifest_id, r.manifest_id, r.policy, driver_host, driver_pid,
    driver_pid_started, heartbeat_at, ended_at, discovered, counts, live_counts, summary
FROM n, datasets d, runs r WHERE r.id = :first;

INSERT INTO shards (run_id, pass, round, seq, wave, file, entries, bytes, first, last,
    state, token, attempts, outcome, tally)
SELECT r.id, s.pass, s.round, s.seq, s.wave, s.file, s.entries, s.bytes, s.first, s.last,
    s.state, s.token, s.attempts, s.outcome, s.tally
FROM runs r, shards s WHERE s.run_id = :first AND r.id <> :first;

INSERT INTO attempts (shard_id, number, token, state, place, started_at, ended_at)
SELECT s.id, 1, a.token, a.state, a.place, a.started_at, a.ended_at
FROM shards s, attempts a WHERE s.run_id <> :first AND a.id = 1;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :versions)
INSERT INTO manifest_pages (dataset_id, run_id, first, last, entries, content_bytes,
    stored_bytes, content, checksum)
SELECT d.id, 'r' || d.id || '-' || n.i, p.first, p.last, p.entries, p.content_bytes,
    p.stored_bytes, p.content, p.checksum
FROM n, datasets d, manifest_pages p WHERE p.id = 1 ORDER BY n.i DESC;

INSERT INTO manifests (dataset_id, run_id, created_at, entries, content_bytes)
SELECT p.dataset_id, p.run_id, m.created_at, m.entries, m.content_bytes
FROM manifest_pages p, manifests m WHERE m.id = 1 AND p.id > 1 ORDER BY p.id;

INSERT INTO manifest_page_list (manifest_id, position, page_id)
SELECT m.id, 0, p.id FROM manifests m, manifest_pages p
WHERE p.run_id = m.run_id AND m.id > 1;

UPDATE datasets SET manifest_id = (SELECT max(m.id) FROM manifests m
    WHERE m.dataset_id = datasets.id)
