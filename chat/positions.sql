-- Positions of members, coalesced: one call, in autocommit, moves what can be moved and says who must be told of it.
--
-- items: [{"c": conversation, "u": user, "d": delivered up to or null, "r": read up to or null, "p": read position before the
-- member sent messages, which moved it, or null: the authors of what was passed over are still to be told}], each pair once.
-- A seq beyond the last entry means the last entry; one that is not ahead, or not visible to the member, moves nothing.
--
-- Answers {"rows": [[c, u, low, high, read_seq, unread, the last entry's seq, whether it was read further, receipt's read seq,
-- receipt's delivered seq, whom to give the receipt, wire id of u], ...], "changes": {u: u's own change after the last of their rows that were
-- read further}, "busy": [[c, u], ...]}. Rows are those with an "r" and those with a receipt; what has no receipt has nulls
-- there. A pair with an "r" that is neither in rows nor busy is no member.
--
-- Nothing here waits for a row that somebody else has locked: it is reported busy, to be tried again, so that one long
-- transaction holds up nobody else's positions and no deadlock comes of the order in which others lock. The locks are
-- statements of their own: what follows must see what their last holder committed.
CREATE OR REPLACE FUNCTION chat_positions_2(items json) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    delivered_told CONSTANT int := 50;  -- members above which no delivered receipts are told: each may cost every author a frame
    read_told CONSTANT int := 200;      -- members above which read positions are told on request only
    looked_at CONSTANT int := 500;      -- newest entries passed over whose authors are told: those of a long absence have moved on
    cs bigint[];
    us bigint[];
    ds bigint[];
    rs bigint[];
    ps bigint[];
    readers bigint[];
    counted bigint[];
    uncounted bigint[] := '{}';
    busy json;
    answer text;
BEGIN
    SELECT array_agg(l.c), array_agg(l.u), array_agg(l.d), array_agg(l.r), array_agg(l.p),
           array_agg(DISTINCT l.u) FILTER (WHERE l.r IS NOT NULL)
    INTO cs, us, ds, rs, ps, readers
    FROM (
        SELECT i.c, i.u, i.d, i.r, i.p FROM json_to_recordset(items) AS i(c bigint, u bigint, d bigint, r bigint, p bigint)
        JOIN memberships m ON m.conversation_id = i.c AND m.user_id = i.u
        WHERE m.left_seq IS NULL AND (i.r IS NOT NULL OR i.p IS NOT NULL OR m.delivered_seq < i.d)
        ORDER BY i.c, i.u FOR NO KEY UPDATE OF m SKIP LOCKED) l;

    -- What moves a reader's position must also count as their change, so that row is had before anything is moved.
    IF readers IS NOT NULL THEN
        SELECT array_agg(h.user_id) INTO counted FROM (
            SELECT user_id FROM user_heads WHERE user_id = ANY (readers) ORDER BY user_id FOR NO KEY UPDATE SKIP LOCKED) h;
        IF cardinality(counted) IS DISTINCT FROM cardinality(readers) THEN
            WITH made AS (
                INSERT INTO user_heads (user_id) SELECT unnest(readers) EXCEPT SELECT unnest(counted) ORDER BY 1
                ON CONFLICT DO NOTHING RETURNING user_id)
            SELECT counted || array_agg(user_id) INTO counted FROM made;
            uncounted := ARRAY(SELECT unnest(readers) EXCEPT SELECT unnest(counted));
        END IF;
    END IF;

    IF json_array_length(items) > coalesce(cardinality(cs), 0) OR cardinality(uncounted) > 0 THEN
        SELECT json_agg(json_build_array(b.c, b.u)) INTO busy FROM (
            SELECT i.c, i.u FROM json_to_recordset(items) AS i(c bigint, u bigint, d bigint, r bigint, p bigint)
            JOIN memberships m ON m.conversation_id = i.c AND m.user_id = i.u
            WHERE m.left_seq IS NULL AND (i.r IS NOT NULL OR i.p IS NOT NULL OR m.delivered_seq < i.d)
            EXCEPT
            SELECT i.c, i.u FROM unnest(cs, us, rs) AS i(c, u, r) WHERE i.r IS NULL OR NOT i.u = ANY (uncounted)) b;
    END IF;

    WITH asked AS MATERIALIZED (
        SELECT i.c, i.u, i.r IS NOT NULL AS reads, k.low, k.high, m.read_seq, m.read_count, m.own_count, m.delivered_seq,
               h.last_seq, h.last_count, h.last_recalled_seq, h.first_count,
               least(i.p, m.read_seq) AS told_from,
               CASE WHEN i.r > m.visible_from THEN greatest(m.read_seq, least(i.r, h.last_seq)) ELSE m.read_seq END AS read_to,
               CASE WHEN i.d > m.visible_from THEN greatest(m.delivered_seq, least(i.d, h.last_seq)) ELSE m.delivered_seq END AS got_to,
               k.low IS NOT NULL OR h.member_count <= read_told AS tells_read,
               k.low IS NOT NULL OR h.member_count <= delivered_told AS tells_delivered
        FROM unnest(cs, us, ds, rs, ps) AS i(c, u, d, r, p)
        JOIN memberships m ON m.conversation_id = i.c AND m.user_id = i.u
        -- LIMIT keeps the planner from looking members up by the conversation alone: 1,000 of one group were a million then.
        CROSS JOIN LATERAL (SELECT * FROM conversation_heads WHERE conversation_id = i.c LIMIT 1) h
        CROSS JOIN LATERAL (SELECT * FROM conversations WHERE id = i.c LIMIT 1) k
        WHERE i.r IS NULL OR NOT i.u = ANY (uncounted)
    ), moving AS MATERIALIZED (
        SELECT a.*, greatest(a.got_to, a.read_to) AS delivered_to,
               CASE WHEN read_to = read_seq THEN read_count
                    WHEN read_to = last_seq THEN last_count
                    ELSE greatest(read_count, coalesce((SELECT e.count FROM entries e WHERE e.conversation_id = c AND e.seq = read_to),
                                                       first_count)) END AS count_to,
               CASE WHEN read_to = last_seq THEN 0
                    WHEN read_to = read_seq OR own_count = 0 THEN own_count
                    -- Not written as an equality, so that what was passed over is looked through, and not all they ever wrote.
                    ELSE greatest(0, own_count - (
                        SELECT count(*) FROM entries e WHERE e.conversation_id = c AND e.seq > read_seq AND e.seq <= read_to
                        AND e.sender_id IS NOT DISTINCT FROM u AND e.type <> 'system')) END AS own_to
        FROM asked a
    ), moved AS (
        UPDATE memberships m
        SET read_seq = n.read_to, read_count = n.count_to, own_count = n.own_to, delivered_seq = n.delivered_to,
            moved_at = CASE WHEN n.read_to > n.read_seq THEN clock_timestamp() ELSE m.moved_at END
        FROM moving n
        WHERE m.conversation_id = n.c AND m.user_id = n.u AND (n.read_to > n.read_seq OR n.delivered_to > n.delivered_seq)
    ), changes AS (
        UPDATE user_heads h SET change = h.change + n.k, touched = (extract(epoch FROM clock_timestamp()) / 8)::int
        FROM (SELECT u, count(*) AS k FROM moving WHERE read_to > read_seq GROUP BY u) n
        WHERE h.user_id = n.u RETURNING h.user_id, h.change
    ), passed AS (
        SELECT n.*, CASE WHEN tells_read AND read_to > told_from THEN read_to END AS told_read,
               CASE WHEN tells_delivered AND delivered_to > delivered_seq THEN delivered_to END AS told_delivered
        FROM moving n
    ), told AS (
        SELECT p.*, w.public_id, authors
        FROM passed p
        LEFT JOIN users w ON w.id = p.u AND w.sends_receipts AND (told_read IS NOT NULL OR told_delivered IS NOT NULL)
        LEFT JOIN LATERAL (
            SELECT array_agg(s.sender_id) AS authors FROM (
                SELECT DISTINCT l.sender_id FROM (
                    SELECT e.sender_id FROM entries e
                    WHERE e.conversation_id = p.c AND e.sender_id <> p.u
                      AND e.seq > CASE WHEN told_read IS NULL THEN delivered_seq ELSE told_from END
                      AND e.seq <= coalesce(told_delivered, told_read)
                      AND (e.seq <= told_read OR told_delivered IS NOT NULL AND e.seq > delivered_seq)
                    ORDER BY e.seq DESC LIMIT looked_at) l) s
            JOIN memberships m ON m.conversation_id = p.c AND m.user_id = s.sender_id AND m.left_seq IS NULL) a
            ON w.public_id IS NOT NULL
    )
    SELECT json_build_object(
        'rows', coalesce((
            SELECT json_agg(json_build_array(c, u, low, high, read_to,
                greatest(0, last_count - greatest(count_to, first_count) - own_to - CASE WHEN last_recalled_seq > read_to THEN (
                    SELECT count(*) FROM entries e WHERE e.conversation_id = c AND e.seq > read_to AND e.recalled_at IS NOT NULL
                    AND e.sender_id <> u) ELSE 0 END),
                last_seq, read_to > read_seq, told_read, told_delivered, authors, public_id))
            FROM told WHERE reads OR authors IS NOT NULL), '[]'),
        'changes', coalesce((SELECT json_object_agg(user_id, change) FROM changes), '{}'),
        'busy', coalesce(busy, '[]'))
    INTO answer;
    RETURN answer;
END $$;
