-- Group commit: one call, in autocommit, commits a batch of messages and says what became of each.
--
-- batch: [{"o": place in the batch, "c": conversation or null, "lo", "hi": the pair of a private conversation whose number
-- is not known, "s": sender, "l": localId, "d": digest, "t": type, "x": content, "b": body or null, "r": readSeq or null,
-- "q": only ask whether the localId is known, "m": the upload that it uses, if any}].
-- Messages of one conversation stand in their order. waiting: wait for locked conversations (up to lock_timeout) instead of
-- answering busy. careful: look for each localId first; without, which takes a sixth less, the whole batch is done again
-- where one turns out to be known. wanted: the conversations of the batch, where all their numbers are known: looking for them in the batch
-- took an eighth of the call. attached: the uploads of the batch, null without any.
--
-- Answers [[o, verdict, conversation, seq, change, microseconds, members_version, digest, how far the sender had read], ...],
-- where verdict is 0 stored,
-- 1 known (the numbers are those of the first time), 2 busy, 3 not a member, 4 muted, 5 unknown user, 6 not known,
-- 7 the upload is gone, 8 known, and not what its sender knows of it: it carries media, which may be shown to the sender no
-- more, or it changed. Such a row goes on with type, content, body, edited, recalled.
--
-- The lock is a statement of its own: what follows must see what the lock's last holder committed.
CREATE OR REPLACE FUNCTION chat_write_3(
    batch json, waiting boolean, careful boolean DEFAULT true, wanted bigint[] DEFAULT NULL, attached bigint[] DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    pairs boolean;
    locked bigint[];
    kept bigint[];
    stamp timestamptz;
    answer text;
    altered boolean;
BEGIN
    IF wanted IS NULL THEN
        SELECT array_agg(DISTINCT i.c) FILTER (WHERE i.c IS NOT NULL), bool_or(i.c IS NULL) INTO wanted, pairs
        FROM json_to_recordset(batch) AS i(c bigint);
        IF pairs THEN
            wanted := wanted || chat_private_1(batch);
        END IF;
    END IF;

    IF attached IS NOT NULL THEN
        -- Held until the commit, so that the sweep of unused uploads deletes none of them meanwhile. This lock conflicts with
        -- the sweep's alone, and is not waited for: what the sweep holds is as good as gone. Nothing is written to these rows
        -- (the sweep notes which are used): whoever finishes a thumbnail has them locked, and would hold up the whole batch.
        SELECT array_agg(k.id) INTO kept FROM (
            SELECT id FROM media WHERE id = ANY (attached) FOR KEY SHARE SKIP LOCKED) k;
    END IF;

    -- The locks are taken in the block, too: held from outside, each row would be marked for two transactions when it changes.
    LOOP
        BEGIN
            IF waiting THEN
                SELECT array_agg(h.conversation_id) INTO locked FROM (
                    SELECT conversation_id FROM conversation_heads
                    WHERE conversation_id = ANY (wanted) ORDER BY conversation_id FOR UPDATE) h;
            ELSE
                SELECT array_agg(h.conversation_id) INTO locked FROM (
                    SELECT conversation_id FROM conversation_heads
                    WHERE conversation_id = ANY (wanted) ORDER BY conversation_id FOR UPDATE SKIP LOCKED) h;
            END IF;
            stamp := clock_timestamp();

            WITH item AS MATERIALIZED (
                SELECT i.o, coalesce(i.c, p.id) AS c, i.s, i.l, i.d, i.t, i.x, i.b, i.r, i.q, i.m
                FROM json_to_recordset(batch)
                     AS i(o int, c bigint, lo bigint, hi bigint, s bigint, l text, d bigint, t text, x text, b text, r bigint, q boolean,
                           m bigint)
                LEFT JOIN conversations p ON p.low = i.lo AND p.high = i.hi
            ), judged AS MATERIALIZED (
                SELECT i.*, h.last_seq, h.last_count, h.change, h.last_at, h.members_version,
                       m.read_seq, m.read_count, m.own_count,
                       e.seq AS known_seq, e.change AS known_change, e.created_at AS known_at, e.digest AS known_digest,
                       CASE WHEN i.c IS NULL THEN 5
                            WHEN h.conversation_id IS NULL THEN 3
                            WHEN NOT i.c = ANY (locked) OR locked IS NULL THEN 2
                            WHEN e.seq IS NOT NULL THEN CASE WHEN e.changed_at IS NULL AND starts_with(e.body, '{"media":') IS NOT TRUE
                                                             THEN 1 ELSE 8 END
                            WHEN i.q THEN 6
                            WHEN m.user_id IS NULL OR m.left_seq IS NOT NULL THEN 3
                            WHEN m.muted_until > stamp THEN 4
                            WHEN i.m IS NOT NULL AND (kept IS NULL OR NOT i.m = ANY (kept)) THEN 7
                            ELSE 0 END AS verdict
                FROM item i
                LEFT JOIN conversation_heads h ON h.conversation_id = i.c
                LEFT JOIN memberships m ON m.conversation_id = i.c AND m.user_id = i.s
                -- The next at or after the key, and not the one that equals it: planned while the table was empty, that was looked
                -- for by the conversation alone, among all its entries, and 23,000 of them made a batch take a second.
                LEFT JOIN LATERAL (
                    SELECT * FROM entries k
                    WHERE (k.conversation_id, k.sender_id, k.local_id) >= (i.c, i.s, i.l) AND k.sender_id IS NOT NULL
                      -- What may be refused would not meet the index: it is looked for all the same.
                      AND (careful OR m.user_id IS NULL OR m.left_seq IS NOT NULL OR m.muted_until > stamp OR i.m IS NOT NULL)
                    ORDER BY k.conversation_id, k.sender_id, k.local_id LIMIT 1) e
                    ON e.conversation_id = i.c AND e.sender_id = i.s AND e.local_id = i.l
            ), numbered AS MATERIALIZED (
                SELECT j.*, row_number() OVER (PARTITION BY c, verdict ORDER BY o) AS nth FROM judged j
            ), stored AS (
                INSERT INTO entries (conversation_id, seq, count, change, sender_id, local_id, digest, type, content, body, created_at)
                SELECT c, last_seq + nth, last_count + nth, change + nth, s, l, d, t, x, b,
                       greatest(stamp, last_at + interval '1 microsecond') + (nth - 1) * interval '1 microsecond'
                FROM numbered WHERE verdict = 0
            ), headed AS (
                UPDATE conversation_heads h
                SET last_seq = h.last_seq + n.k, last_count = h.last_count + n.k, change = h.change + n.k,
                    last_at = greatest(stamp, h.last_at + interval '1 microsecond') + (n.k - 1) * interval '1 microsecond',
                    touched = (extract(epoch FROM stamp) / 8)::int
                FROM (SELECT c, max(nth) AS k FROM numbered WHERE verdict = 0 GROUP BY c) n
                WHERE h.conversation_id = n.c
            ), reads AS (
                -- How far each sender has read: to their own entry, or to what they said they had read (of what was there before).
                SELECT c, s, min(last_seq) AS last_seq, min(last_count) AS last_count, min(read_seq) AS read_seq, min(read_count) AS read_count,
                       min(own_count) AS own_count, array_agg(last_seq + nth) AS own, max(last_seq + nth) AS last_own,
                       max(greatest(read_seq, CASE WHEN r IS NULL THEN last_seq + nth ELSE least(r, last_seq) END)) AS up_to
                FROM numbered WHERE verdict = 0 GROUP BY c, s ORDER BY c, s
            ), positioned AS (
                -- The member may read further in between: the row's own values (m) count, not those looked at above.
                UPDATE memberships m
                SET read_seq = greatest(m.read_seq, r.up_to), delivered_seq = greatest(m.delivered_seq, r.up_to),
                    read_count = CASE WHEN r.up_to <= m.read_seq THEN m.read_count
                                      WHEN r.up_to > r.last_seq THEN r.last_count + r.up_to - r.last_seq
                                      ELSE coalesce((SELECT e.count FROM entries e WHERE e.conversation_id = r.c AND e.seq = r.up_to), r.read_count) END,
                    own_count = CASE WHEN r.last_own <= greatest(m.read_seq, r.up_to) THEN 0
                             ELSE (SELECT count(*) FROM unnest(r.own) o WHERE o > greatest(m.read_seq, r.up_to)) END
                              + CASE WHEN r.up_to > r.last_seq THEN 0
                                     WHEN r.up_to <= m.read_seq THEN m.own_count
                                     ELSE (SELECT count(*) FROM entries e WHERE e.conversation_id = r.c AND e.seq > r.up_to
                                           AND e.sender_id = r.s AND e.type <> 'system') END,
                    moved_at = stamp
                FROM reads r WHERE m.conversation_id = r.c AND m.user_id = r.s
            )
            SELECT '[' || string_agg(concat_ws(',', '[' || o, verdict, coalesce(c, 0), coalesce(known_seq, last_seq + nth, 0),
                       coalesce(known_change, change + nth, 0),
                       (extract(epoch FROM coalesce(known_at, greatest(stamp, last_at + interval '1 microsecond')
                           + (nth - 1) * interval '1 microsecond', stamp)) * 1000000)::bigint,
                       coalesce(members_version, 0), coalesce(known_digest, 0), coalesce(read_seq, 0)) || ']', ',') || ']',
                   bool_or(verdict = 8)
            INTO answer, altered FROM numbered;
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            IF careful THEN
                RAISE;
            END IF;
            careful := true;
        END;
    END LOOP;

    IF attached IS NOT NULL THEN
        INSERT INTO media_uses (media_id, conversation_id, seq)
        SELECT i.m, (a.row->>2)::bigint, (a.row->>3)::bigint
        FROM json_array_elements(answer::json) AS a(row) JOIN json_to_recordset(batch) AS i(o int, m bigint)
        ON i.o = (a.row->>0)::int WHERE (a.row->>1)::int = 0 AND i.m IS NOT NULL;
    END IF;
    RETURN CASE WHEN altered THEN chat_known_1(answer) ELSE answer END;
END $$;

-- The same answer with the entries of verdict 8 in it.
CREATE OR REPLACE FUNCTION chat_known_1(answer text) RETURNS text
LANGUAGE sql AS $$
    SELECT json_agg(CASE WHEN e.seq IS NULL THEN a.row ELSE (a.row::jsonb || jsonb_build_array(
               e.type, e.content, e.body, (extract(epoch FROM e.edited_at) * 1000000)::bigint,
               (extract(epoch FROM e.recalled_at) * 1000000)::bigint))::json END)::text
    FROM json_array_elements(answer::json) AS a(row)
    LEFT JOIN entries e ON (a.row->>1)::int = 8 AND e.conversation_id = (a.row->>2)::bigint AND e.seq = (a.row->>3)::bigint
$$;

-- The numbers of the private conversations that the batch names by their pairs; those that are missing are made, with their
-- heads and memberships, when both users exist.
CREATE OR REPLACE FUNCTION chat_private_1(batch json) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    made bigint[];
BEGIN
    WITH pair AS (
        SELECT DISTINCT i.lo, i.hi FROM json_to_recordset(batch) AS i(c bigint, lo bigint, hi bigint)
        WHERE i.c IS NULL AND EXISTS (SELECT FROM users WHERE id = i.lo) AND EXISTS (SELECT FROM users WHERE id = i.hi)
          AND NOT EXISTS (SELECT FROM conversations c WHERE c.low = i.lo AND c.high = i.hi)
        ORDER BY 1, 2
    ), conversation AS (
        INSERT INTO conversations (kind, low, high, history) SELECT 'private', lo, hi, 'all' FROM pair
        ON CONFLICT (low, high) DO NOTHING RETURNING id, low, high
    ), head AS (
        INSERT INTO conversation_heads (conversation_id, member_count)
        SELECT id, CASE WHEN low = high THEN 1 ELSE 2 END FROM conversation
    ), member AS (
        INSERT INTO memberships (conversation_id, user_id)
        SELECT id, low FROM conversation UNION SELECT id, high FROM conversation
    )
    SELECT array_agg(id) INTO made FROM conversation;
    RETURN (
        SELECT array_agg(DISTINCT c.id) FROM json_to_recordset(batch) AS i(c bigint, lo bigint, hi bigint)
        JOIN conversations c ON c.low = i.lo AND c.high = i.hi WHERE i.c IS NULL);
END $$;
