-- What users have not read, for all who ask at one moment: one call, one snapshot.
--
-- users and known: who asks, and the stamp of the tally that the process holds of each (null: none). Answers
-- [[user, stamp, total, [[conversation, low, high, unread, change, seq, last_at in microseconds], ...]], ...] for those
-- whose stamp is another by now; who is left out has what is held. Named are at most 1,000 conversations, the newest first;
-- seq is that of the last entry, 0 where the user does not see it.
--
-- A stamp is the xor of a 64-bit hash of each of the user's conversations with everything that its count and its last entry
-- depend on. Reading it costs a quarter of counting.
--
-- With conversations and seqs instead: their entries, [[conversation, low, high, seq, change, sender, localId, type, content,
-- body, created, edited, recalled], ...], times in microseconds.
CREATE OR REPLACE FUNCTION chat_unread_1(users bigint[], known bigint[], conversations bigint[], seqs bigint[]) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    named CONSTANT int := 1000;  -- conversations; more unread ones are only in the total
BEGIN
    IF conversations IS NOT NULL THEN
        RETURN (
            SELECT json_agg(json_build_array(e.conversation_id, c.low, c.high, e.seq, e.change, u.public_id, e.local_id, e.type,
                e.content, e.body, (extract(epoch FROM e.created_at) * 1000000)::bigint,
                (extract(epoch FROM e.edited_at) * 1000000)::bigint, (extract(epoch FROM e.recalled_at) * 1000000)::bigint))::text
            FROM unnest(conversations, seqs) AS a(c, s)
            JOIN entries e ON e.conversation_id = a.c AND e.seq = a.s
            JOIN conversations c ON c.id = a.c
            LEFT JOIN users u ON u.id = e.sender_id);
    END IF;
    RETURN (
        WITH stale AS MATERIALIZED (
            SELECT a.u, s.stamp FROM unnest(users, known) AS a(u, known)
            CROSS JOIN LATERAL (
                SELECT coalesce(bit_xor(hash_record_extended(ROW(h.conversation_id, h.change, h.last_seq, h.last_count,
                    h.last_recalled_seq, h.first_count, h.last_at, m.read_seq, m.read_count, m.own_count, m.visible_from), 0)), 0) AS stamp
                FROM memberships m JOIN conversation_heads h ON h.conversation_id = m.conversation_id
                WHERE m.user_id = a.u AND m.left_seq IS NULL) s
            WHERE s.stamp IS DISTINCT FROM a.known
        )
        SELECT json_agg(json_build_array(t.u, t.stamp, coalesce(n.total, 0), coalesce(n.named, '[]')))::text
        FROM stale t
        CROSS JOIN LATERAL (
            SELECT sum(unread) AS total,
                   json_agg(json_build_array(conversation_id, low, high, unread, change, seq, last_us) ORDER BY place)
                       FILTER (WHERE place <= named) AS named
            FROM (
                SELECT w.*, c.low, c.high, row_number() OVER (ORDER BY w.last_us DESC, w.conversation_id) AS place
                FROM (
                    SELECT h.conversation_id, h.change, CASE WHEN h.last_seq > m.visible_from THEN h.last_seq ELSE 0 END AS seq,
                           (extract(epoch FROM h.last_at) * 1000000)::bigint AS last_us,
                           h.last_count - greatest(m.read_count, h.first_count) - m.own_count
                           - CASE WHEN h.last_recalled_seq > m.read_seq THEN (
                               SELECT count(*) FROM entries r
                               WHERE r.conversation_id = h.conversation_id AND r.seq > m.read_seq AND r.recalled_at IS NOT NULL
                                 AND r.sender_id IS DISTINCT FROM m.user_id) ELSE 0 END AS unread
                    FROM memberships m JOIN conversation_heads h ON h.conversation_id = m.conversation_id
                    WHERE m.user_id = t.u AND m.left_seq IS NULL AND h.last_count > m.read_count + m.own_count) w
                JOIN conversations c ON c.id = w.conversation_id
                WHERE w.unread > 0) p) n);
END $$;
