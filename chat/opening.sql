-- What sessions need of the database when they open, for many at once.
--
-- asked: [{"o": place, "p": user's wire id, "g": login, "k": a host application's key of the login, or null}]. Answers
-- [[o, login if it may come in, else 0, user or null, gone_at in microseconds or null, [the user's own `touched`, change],
-- [[conversation, low, high, change, members_version, touched, behind, visible_from, joined],
-- ...]], ...]; who is away hears nothing. behind: entries there that no device of the user has taken; joined as `touched`.
CREATE OR REPLACE FUNCTION chat_open_3(asked json) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_array(
        a.o,
        CASE WHEN l.ended_at IS NULL AND l.expires_at > now() THEN coalesce(l.id, 0) ELSE 0 END,
        u.id,
        (extract(epoch FROM l.gone_at) * 1000000)::bigint,
        coalesce((SELECT json_build_array(touched, change) FROM user_heads WHERE user_id = u.id), '[0, 0]'),
        (SELECT coalesce(json_agg(json_build_array(h.conversation_id, c.low, c.high, h.change, h.members_version, h.touched,
            m.delivered_seq < h.last_seq, m.visible_from, (extract(epoch FROM m.joined_at) / 8)::int)), '[]')
         FROM memberships m
         JOIN conversation_heads h ON h.conversation_id = m.conversation_id
         JOIN conversations c ON c.id = m.conversation_id
         WHERE m.user_id = u.id AND m.left_seq IS NULL AND NOT m.away)
    )), '[]')::text
    FROM json_to_recordset(asked) AS a(o int, p text, g bigint, k text)
    LEFT JOIN users u ON u.public_id = a.p
    LEFT JOIN logins l ON l.user_id = u.id AND l.id = CASE WHEN a.k IS NULL THEN a.g ELSE (SELECT id FROM logins WHERE external_key = a.k) END
$$;
