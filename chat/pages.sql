-- A page of a conversation's history, for a reader who holds blocks of it: one call, one snapshot.
--
-- asked: {"u": user, "g": group or 0, "lo", "hi": the pair of a private conversation, "before", "after": seqs or null, "most":
-- entries, "whole": also read the rest of the blocks that are not held, but for long ones, "known": [{"b": block, "x": its
-- change, "f", "l": first and last seq in it}]}. A block is 64 entries; the first one ends with seq 64.
--
-- Answers null to who is no member, else {"c": conversation, "low", "high", "change", "first", "last": seqs that there are,
-- "from", "to": seqs of the page (none if to < from), "more": whether there are others in the direction asked for, "rows":
-- entries as in chat/entries.py, rising}. Rows are all of the page but those that are still as in a block held: what became
-- of an entry after the block's change has a higher one. Of blocks held all that is newer is told, also beside the page.
CREATE OR REPLACE FUNCTION chat_history_1(asked json) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    size CONSTANT int := 64;
    longest CONSTANT int := 262144;  -- bytes of a block; a longer one is never kept (chat/tiers.py) and so not read whole
    grp bigint := (asked->>'g')::bigint;
    above bigint := (asked->>'before')::bigint;
    below bigint := (asked->>'after')::bigint;
    most bigint := (asked->>'most')::bigint;
    whole boolean := (asked->>'whole')::boolean;
    place record;
    top bigint;
    page_from bigint;
    page_to bigint;
    entries_told json;
BEGIN
    SELECT c.id, c.low, c.high, h.change, h.last_seq, greatest(h.first_seq, 1) AS first_seq,
           greatest(m.visible_from, h.first_seq - 1) AS floor
    INTO place
    FROM conversations c
    JOIN conversation_heads h ON h.conversation_id = c.id
    JOIN memberships m ON m.conversation_id = c.id AND m.user_id = (asked->>'u')::bigint AND m.left_seq IS NULL
    WHERE c.id = CASE WHEN grp > 0 THEN grp ELSE (SELECT p.id FROM conversations p
                      WHERE p.low = (asked->>'lo')::bigint AND p.high = (asked->>'hi')::bigint) END
      AND (c.low IS NULL) = (grp > 0);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    top := least(coalesce(above - 1, place.last_seq), place.last_seq);
    IF below IS NULL THEN
        page_to := top;
        page_from := greatest(place.floor, page_to - most) + 1;
    ELSE
        page_from := greatest(place.floor, least(below, place.last_seq)) + 1;
        page_to := least(page_from + most - 1, top);
    END IF;
    -- Senders one by one: joined, the users of low numbers might all be read on the way to them.
    SELECT json_agg(json_build_array(e.conversation_id, place.low, place.high, e.seq, e.change,
               (SELECT u.public_id FROM users u WHERE u.id = e.sender_id), e.local_id, e.type, e.content, e.body, (extract(epoch FROM e.created_at) * 1000000)::bigint,
               (extract(epoch FROM e.edited_at) * 1000000)::bigint, (extract(epoch FROM e.recalled_at) * 1000000)::bigint)
               ORDER BY e.seq)
    INTO entries_told
    FROM generate_series((page_from - 1) / size, CASE WHEN page_to >= page_from THEN (page_to - 1) / size ELSE -1 END) AS b(number)
    LEFT JOIN json_to_recordset(asked->'known') AS k(b bigint, x bigint, f bigint, l bigint) ON k.b = b.number
    CROSS JOIN LATERAL (
        SELECT * FROM (
            SELECT r.*, sum(octet_length(r.content) + coalesce(octet_length(r.body), 0) + 300) OVER () AS bytes  -- 300: ids, times
            FROM (
                SELECT * FROM entries i
                WHERE i.conversation_id = place.id AND (k.b IS NULL OR k.x < place.change)
                  AND i.seq >= CASE WHEN whole OR k.b IS NOT NULL THEN b.number * size + 1 ELSE greatest(page_from, b.number * size + 1) END
                  AND i.seq <= CASE WHEN whole OR k.b IS NOT NULL THEN (b.number + 1) * size ELSE least(page_to, (b.number + 1) * size) END
                  AND (k.b IS NULL OR i.change > k.x OR i.seq < k.f OR i.seq > k.l)
                ORDER BY i.seq LIMIT size) r) w  -- the limit has each block looked up: else all entries of the conversation were
        WHERE k.b IS NOT NULL OR w.bytes <= longest OR w.seq BETWEEN page_from AND page_to) e;
    RETURN json_build_object('c', place.id, 'low', place.low, 'high', place.high, 'change', place.change,
        'first', place.first_seq, 'last', place.last_seq, 'from', page_from, 'to', page_to,
        'more', page_to >= page_from AND CASE WHEN below IS NULL THEN page_from > place.floor + 1 ELSE page_to < top END,
        'rows', coalesce(entries_told, '[]'))::text;
END $$;
