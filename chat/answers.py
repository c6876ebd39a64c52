"""Shapes of the answers about conversations, for the documents: nothing is checked against them at run time."""

from marshmallow import fields

from chat.schemas import WireSchema

__all__ = [
    "ConversationListSchema", "ConversationViewSchema", "GroupListSchema", "MediaSchema", "MemberListSchema",
    "MessagePageSchema", "MessageSchema", "ReadAnswerSchema", "ReadManyAnswerSchema", "SyncAnswerSchema",
    "UnreadAnswerSchema",
]  # fmt: skip

TIME = {"format": "date-time", "description": "ISO 8601, UTC, six decimals, Z."}


class MediaSchema(WireSchema):
    """An upload. The addresses are signed for 24 to 48 hours; each reading of a message gives fresh ones.

    `thumbnailUrl` and `placeholder` (a tiny picture, `data:image/webp;base64,…`) of a large image come later, by
    `message.updated`. `name`: the file's, of what is no image.
    """

    id = fields.String(required=True)
    kind = fields.String(required=True, metadata={"enum": ["image", "file"]})
    url = fields.String(required=True)
    thumbnail_url = fields.String()
    width = fields.Integer()
    height = fields.Integer()
    placeholder = fields.String()
    size = fields.Integer(required=True)
    mime_type = fields.String(required=True)
    name = fields.String()


class MessageSchema(WireSchema):
    """An entry of a conversation: a message, or a notice (`type` system, no sender, `metadata.notice`)."""

    id = fields.String(required=True)
    conversation_id = fields.String(required=True)
    seq = fields.Integer(required=True)
    change = fields.Integer(required=True)
    sender_id = fields.String(required=True, allow_none=True)
    local_id = fields.String(required=True)
    type = fields.String(required=True)
    content = fields.String(required=True)
    media = fields.Nested(MediaSchema)
    location = fields.Dict()
    reply_to = fields.String()
    mentions = fields.List(fields.String())
    metadata = fields.Dict()
    created_at = fields.String(required=True, metadata=TIME)
    edited_at = fields.String(metadata=TIME)
    recalled_at = fields.String(metadata=TIME)


class MessagePageSchema(WireSchema):
    """Entries in rising order; `hasMore`: in the direction asked for."""

    messages = fields.List(fields.Nested(MessageSchema), required=True)
    has_more = fields.Boolean(required=True)


class PeerSchema(WireSchema):
    """The other user of a private conversation, and how far they have come."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    avatar = fields.String(required=True, allow_none=True)
    online = fields.Boolean(required=True)
    last_seen_at = fields.String(required=True, allow_none=True, metadata=TIME)
    delivered_seq = fields.Integer(required=True)
    read_seq = fields.Integer(required=True)


class GroupFromOutsideSchema(WireSchema):
    """A group as everybody sees it who may find it."""

    id = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    avatar = fields.String(required=True, allow_none=True)
    member_count = fields.Integer()
    history = fields.String()
    joining = fields.String()
    listed = fields.Boolean()
    created_at = fields.String(required=True, metadata=TIME)


class ConversationViewSchema(GroupFromOutsideSchema):
    """A conversation as its member sees it: `peer` if private; `role`, `memberCount` and rules if a group."""

    peer = fields.Nested(PeerSchema)
    role = fields.String()
    unread = fields.Integer(required=True)
    last_message = fields.Nested(MessageSchema, required=True, allow_none=True)
    last_seq = fields.Integer(required=True)
    change = fields.Integer(required=True)
    read_seq = fields.Integer(required=True)
    delivered_seq = fields.Integer(required=True)
    pinned = fields.Boolean(required=True)
    muted = fields.Boolean(required=True)
    away = fields.Boolean()
    muted_until = fields.String(metadata=TIME)


class ConversationListSchema(WireSchema):
    """A page of conversations: pinned first, then the newest last entry."""

    conversations = fields.List(fields.Nested(ConversationViewSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class GroupListSchema(WireSchema):
    """A page of groups that everybody may find."""

    groups = fields.List(fields.Nested(GroupFromOutsideSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class MemberUserSchema(WireSchema):
    """Who a member is."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    avatar = fields.String(required=True, allow_none=True)


class MemberSchema(WireSchema):
    """A member; positions in groups of up to 200 members, or on request."""

    user = fields.Nested(MemberUserSchema, required=True)
    role = fields.String(required=True)
    joined_at = fields.String(required=True, metadata=TIME)
    delivered_seq = fields.Integer()
    read_seq = fields.Integer()
    muted_until = fields.String(metadata=TIME)


class MemberListSchema(WireSchema):
    """A page of members."""

    members = fields.List(fields.Nested(MemberSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class StateSchema(WireSchema):
    """What a client lacks of a conversation; only `removed` if the user is not in it.

    `hasMore`: entries between what the client held and `messages` are left out. `hasMoreChanged`: so are changes after
    `change`; sync again.
    """

    removed = fields.Boolean()
    messages = fields.List(fields.Nested(MessageSchema))
    has_more = fields.Boolean()
    changed = fields.List(fields.Nested(MessageSchema))
    has_more_changed = fields.Boolean()
    last_seq = fields.Integer()
    change = fields.Integer()
    read_seq = fields.Integer()
    delivered_seq = fields.Integer()
    unread = fields.Integer()


class SyncAnswerSchema(WireSchema):
    """The conversations asked for, by id."""

    conversations = fields.Dict(keys=fields.String(), values=fields.Nested(StateSchema), required=True)


class UnreadOneSchema(WireSchema):
    """A conversation with something unread."""

    unread = fields.Integer(required=True)
    last_message = fields.Nested(MessageSchema, required=True, allow_none=True)


class UnreadAnswerSchema(WireSchema):
    """All that is unread; conversations without are not named."""

    total = fields.Integer(required=True)
    conversations = fields.Dict(keys=fields.String(), values=fields.Nested(UnreadOneSchema), required=True)
    notifications = fields.Integer(required=True)


class ReadAnswerSchema(WireSchema):
    """A read position, committed; `userChange` if it has moved. `unread` counts up to `lastSeq`."""

    conversation_id = fields.String(required=True)
    read_seq = fields.Integer(required=True)
    unread = fields.Integer(required=True)
    last_seq = fields.Integer(required=True)
    user_change = fields.Integer()


class ReadManyAnswerSchema(WireSchema):
    """The same for each conversation by id, or `error`."""

    conversations = fields.Dict(keys=fields.String(), values=fields.Nested(ReadAnswerSchema), required=True)
