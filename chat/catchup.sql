-- Entries by their numbers, those that a user may see, in the order asked for.
--
-- asked: {"u": user, "k": [[conversation, seq, ...], ...]}. Answers [[conversation, low, high, seq, change, sender, localId, type,
-- content, body, created, edited, recalled], ...].
CREATE OR REPLACE FUNCTION chat_entries_1(asked json) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_array(e.conversation_id, c.low, c.high, e.seq, e.change, u.public_id, e.local_id, e.type, e.content, e.body,
        (extract(epoch FROM e.created_at) * 1000000)::bigint, (extract(epoch FROM e.edited_at) * 1000000)::bigint,
        (extract(epoch FROM e.recalled_at) * 1000000)::bigint) ORDER BY k.place), '[]')::text
    FROM json_array_elements(asked->'k') WITH ORDINALITY AS k(key, place)
    JOIN memberships m ON m.conversation_id = (k.key->>0)::bigint AND m.user_id = (asked->>'u')::bigint AND m.left_seq IS NULL AND NOT m.away
    JOIN conversations c ON c.id = m.conversation_id
    JOIN entries e ON e.conversation_id = m.conversation_id AND e.seq = (k.key->>1)::bigint AND e.seq > m.visible_from
    LEFT JOIN users u ON u.id = e.sender_id
$$;

-- What a user missed, from the database alone.
--
-- asked: {"u": user, "since": microseconds or null, "c": [conversations] or null for all of the user's, "p": positions too,
-- of all conversations, "seen": {conversation: change}, "most": entries, "whole": how many of them with all that is in them}.
-- With since: what was committed after it; without: what no device of the user has (after the delivered positions).
-- Answers {"entries": as above (the oldest first), "later": [[conversation, seq, change, bytes], ...] (those that follow; in
-- all one more than "most" if there are more),
-- "unread": [[conversation, low, high, read_seq, unread, last_seq]], "receipts": [[conversation, low, high, user, delivered, read]],
-- "changed": [[conversation, low, high, change]]: conversations whose last change is no entry}.
-- With "k": see chat_entries_1; both go over one prepared statement.
CREATE OR REPLACE FUNCTION chat_missed_2(asked json) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    me bigint := (asked->>'u')::bigint;
    since timestamptz := 'epoch'::timestamptz + ((asked->>'since')::bigint) * interval '1 microsecond';
    everywhere boolean := json_typeof(asked->'c') IS DISTINCT FROM 'array';
    only_these bigint[] := (SELECT array_agg(v::bigint) FROM json_array_elements_text(CASE json_typeof(asked->'c') WHEN 'array' THEN asked->'c' END) v);
    positions boolean := (asked->>'p')::boolean AND since IS NOT NULL;
    most int := (asked->>'most')::int;
    whole int := (asked->>'whole')::int;
    bucket int := coalesce((extract(epoch FROM since) / 8)::int - 1, 0);
    answer text;
BEGIN
    IF asked->'k' IS NOT NULL THEN
        RETURN chat_entries_1(asked);
    END IF;
    WITH mine AS MATERIALIZED (
        SELECT m.*, h.last_seq, h.last_count, h.last_recalled_seq, h.change, h.touched, c.low, c.high,
               coalesce((asked->'seen'->>(m.conversation_id::text))::bigint, 0) AS seen,
               everywhere OR coalesce(m.conversation_id = ANY (only_these), false) AS wanted
        FROM memberships m
        JOIN conversation_heads h ON h.conversation_id = m.conversation_id
        JOIN conversations c ON c.id = m.conversation_id
        WHERE m.user_id = me AND m.left_seq IS NULL AND NOT m.away
    ), entry AS MATERIALIZED (
        SELECT e.*, mine.low, mine.high, row_number() OVER (ORDER BY e.created_at, e.conversation_id, e.seq) AS place
        FROM mine
        CROSS JOIN LATERAL (
            SELECT coalesce((SELECT o.seq FROM entries o WHERE o.conversation_id = mine.conversation_id AND o.created_at <= since
                             ORDER BY o.seq DESC LIMIT 1), 0) AS floor WHERE since IS NOT NULL
            UNION ALL SELECT mine.delivered_seq WHERE since IS NULL) f
        CROSS JOIN LATERAL (
            SELECT * FROM entries e
            WHERE e.conversation_id = mine.conversation_id AND e.seq > f.floor AND e.seq > mine.visible_from AND e.change > mine.seen
            ORDER BY e.seq LIMIT most + 1) e
        WHERE mine.wanted AND mine.last_seq > f.floor AND (since IS NULL OR mine.touched >= bucket)
        ORDER BY place LIMIT most + 1
    )
    SELECT json_build_object(
        'entries', (SELECT coalesce(json_agg(json_build_array(e.conversation_id, e.low, e.high, e.seq, e.change, u.public_id, e.local_id, e.type,
                        e.content, e.body, (extract(epoch FROM e.created_at) * 1000000)::bigint, (extract(epoch FROM e.edited_at) * 1000000)::bigint,
                        (extract(epoch FROM e.recalled_at) * 1000000)::bigint) ORDER BY e.place), '[]')
                    FROM entry e LEFT JOIN users u ON u.id = e.sender_id WHERE e.place <= whole),
        'later', (SELECT coalesce(json_agg(json_build_array(conversation_id, seq, change,
                        octet_length(content) + coalesce(octet_length(body), 0) + 300) ORDER BY place), '[]')  -- 300: ids, numbers, times
                  FROM entry WHERE place > whole),
        'unread', (SELECT coalesce(json_agg(json_build_array(conversation_id, low, high, read_seq,
                        last_count - read_count - own_count - CASE WHEN last_recalled_seq > read_seq THEN (
                            SELECT count(*) FROM entries r WHERE r.conversation_id = mine.conversation_id AND r.seq > mine.read_seq
                            AND r.recalled_at IS NOT NULL AND r.sender_id <> me) ELSE 0 END, last_seq)), '[]')
                   FROM mine WHERE positions AND moved_at > since),
        'receipts', (SELECT coalesce(json_agg(json_build_array(p.conversation_id, mine.low, mine.high, u.public_id, p.delivered_seq, p.read_seq)), '[]')
                     FROM mine JOIN memberships p ON p.conversation_id = mine.conversation_id AND p.user_id <> me
                     JOIN users u ON u.id = p.user_id
                     WHERE positions AND mine.low IS NOT NULL AND p.moved_at > since AND u.sends_receipts),
        'changed', (SELECT coalesce(json_agg(json_build_array(conversation_id, low, high, change)), '[]')
                    FROM mine WHERE wanted AND since IS NOT NULL AND touched >= bucket AND change > seen AND NOT EXISTS (
                        SELECT FROM entries e WHERE e.conversation_id = mine.conversation_id AND e.seq = mine.last_seq AND e.change = mine.change))
    )::text INTO answer;
    RETURN answer;
END $$;

-- What a conversation holds after a change: {"change": its present one, "upto": how far the entries reach, the same unless
-- there are more than "most", "version", "low", "high", "entries": [... as above], "changed": seqs of those of them that are
-- not as they were written}.
CREATE OR REPLACE FUNCTION chat_after_2(conversation bigint, since bigint, most int) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('change', h.change, 'upto', CASE WHEN a.found < most THEN h.change ELSE a.upto END,
        'version', h.members_version, 'low', c.low, 'high', c.high, 'entries', a.entries, 'changed', a.changed)::text
    FROM conversation_heads h JOIN conversations c ON c.id = h.conversation_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS found, max(e.change) AS upto,
            coalesce(json_agg(e.seq) FILTER (WHERE e.changed_at IS NOT NULL), '[]') AS changed,
            coalesce(json_agg(json_build_array(e.conversation_id, c.low, c.high, e.seq, e.change, u.public_id, e.local_id, e.type, e.content, e.body,
                (extract(epoch FROM e.created_at) * 1000000)::bigint, (extract(epoch FROM e.edited_at) * 1000000)::bigint,
                (extract(epoch FROM e.recalled_at) * 1000000)::bigint) ORDER BY e.change), '[]') AS entries
        -- New entries are among the last; what became of older ones has an index of its own.
        FROM (SELECT * FROM (
                SELECT * FROM entries x WHERE x.conversation_id = conversation AND x.change > since
                    AND x.seq > h.last_seq - (h.change - since)
                UNION ALL
                SELECT * FROM entries x WHERE x.conversation_id = conversation AND x.change > since
                    AND x.seq <= h.last_seq - (h.change - since) AND x.changed_at IS NOT NULL
              ) both_kinds ORDER BY change LIMIT most) e
        LEFT JOIN users u ON u.id = e.sender_id) a
    WHERE h.conversation_id = conversation
$$;

-- Those of some conversations that are private: [[conversation, low, high], ...].
CREATE OR REPLACE FUNCTION chat_pairs_1(conversations json) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_array(c.id, c.low, c.high)), '[]')::text
    FROM json_array_elements_text(conversations) AS i(id) JOIN conversations c ON c.id = i.id::bigint WHERE c.low IS NOT NULL
$$;

-- Where a user is besides the conversations that are known: [[conversation, its change before they came, its change], ...].
CREATE OR REPLACE FUNCTION chat_joined_1(me bigint, known json) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_array(m.conversation_id, coalesce((
        SELECT e.change FROM entries e WHERE e.conversation_id = m.conversation_id AND e.created_at < m.joined_at
        ORDER BY e.seq DESC LIMIT 1), 0), h.change)), '[]')::text
    FROM memberships m JOIN conversation_heads h ON h.conversation_id = m.conversation_id
    WHERE m.user_id = me AND m.left_seq IS NULL AND NOT m.away
      AND NOT EXISTS (SELECT FROM json_array_elements_text(known) AS k(id) WHERE k.id::bigint = m.conversation_id)
$$;

-- What was committed lately: {"now": microseconds, "heads": [[conversation, change]], "users": [[user, change]], "ended": [logins]}.
CREATE OR REPLACE FUNCTION chat_tail_1(since bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'now', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        'heads', (SELECT coalesce(json_agg(json_build_array(conversation_id, change)), '[]') FROM conversation_heads
                  WHERE touched >= (since / 8000000)::int),
        'users', (SELECT coalesce(json_agg(json_build_array(user_id, change)), '[]') FROM user_heads WHERE touched >= (since / 8000000)::int),
        'ended', (SELECT coalesce(json_agg(id), '[]') FROM logins
                  WHERE ended_at >= 'epoch'::timestamptz + since * interval '1 microsecond'))::text
$$;

-- The members of a conversation who are to hear of it: {"version", "members": [[user, visible_from], ...]}.
CREATE OR REPLACE FUNCTION chat_members_1(conversation bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('version', h.members_version, 'members', (
        SELECT coalesce(json_agg(json_build_array(m.user_id, m.visible_from)), '[]') FROM memberships m
        WHERE m.conversation_id = conversation AND m.left_seq IS NULL AND NOT m.away))::text
    FROM conversation_heads h WHERE h.conversation_id = conversation
$$;
