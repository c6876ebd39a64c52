-- The tables of the peers: two indexes on messages, as on ours (by place in the conversation, by localId).
CREATE TABLE messages (
    id              bigint      NOT NULL,
    conversation_id text        NOT NULL,
    sender_id       text        NOT NULL,
    local_id        text        NOT NULL,
    type            text        NOT NULL,
    content         text        NOT NULL,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (conversation_id, id),
    UNIQUE (conversation_id, sender_id, local_id)
);

CREATE TABLE groups (
    id   text PRIMARY KEY,
    name text NOT NULL
);

CREATE TABLE members (
    group_id text NOT NULL REFERENCES groups (id),
    user_id  text NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX members_of_user ON members (user_id);
