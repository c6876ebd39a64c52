import json

from bench.generator.crowd import Client, Crowd
from bench.generator.ledger import Ledger
from bench.generator.native import Native
from bench.generator.wire import ACK, DELIVERY, REFUSED


class Silence(Crowd):
    """A crowd without sockets: what is written is kept."""

    def __init__(self) -> None:
        self.wire = Native()
        self.gone = []
        self.written: list[dict[str, object]] = []

    def write(self, client: Client, payload: bytes) -> None:
        self.written.append(json.loads(payload))


def ledger_with(messages: int) -> tuple[Ledger, Client, Client]:
    ledger = Ledger(Silence(), copies=1)
    author, reader = Client("b0", ""), Client("b1", "")
    ledger.targets["b0"] = b"b1"
    for _ in range(messages):
        ledger.send(author)
    ledger.sending = False
    return ledger, author, reader


def deliver(ledger: Ledger, reader: Client, *numbers: int) -> None:
    ledger.take(reader, [(DELIVERY, number, b"") for number in numbers], 0.0)


def test_a_slot_is_free_once_acked_and_delivered() -> None:
    ledger, author, reader = ledger_with(1)
    ledger.sending = True
    ledger.take(author, [(ACK, 0, b"")], 0.0)
    assert ledger.finished == 0
    deliver(ledger, reader, 0)
    assert ledger.finished == 1
    assert len(ledger.sender) == 2


def test_what_came_in_turn_has_no_faults() -> None:
    ledger, author, reader = ledger_with(3)
    ledger.take(author, [(ACK, number, b"") for number in range(3)], 0.0)
    deliver(ledger, reader, 0, 1, 2)
    faults = ledger.faults()
    assert [faults[name] for name in ("acked", "lost", "duplicates", "out_of_order", "refused")] == [3, 0, 0, 0, 0]


def test_a_late_message_is_out_of_order_and_not_lost() -> None:
    ledger, _, reader = ledger_with(4)
    deliver(ledger, reader, 3, 0, 2, 1)
    assert (ledger.out_of_order, ledger.duplicates, sum(ledger.owed)) == (3, 0, 4)


def test_a_second_copy_is_a_duplicate_in_turn_or_not() -> None:
    ledger, _, reader = ledger_with(3)
    deliver(ledger, reader, 0, 0, 2, 1, 1, 2)
    assert (ledger.out_of_order, ledger.duplicates, ledger.owed) == (1, 3, [1, 1, 1])


def test_a_second_ack_is_a_duplicate() -> None:
    ledger, author, _ = ledger_with(1)
    ledger.take(author, [(ACK, 0, b""), (ACK, 0, b"")], 0.0)
    assert ledger.duplicates == 1
    assert ledger.faults()["acked"] == 1


def test_what_never_came_is_lost_and_what_was_refused_is_told() -> None:
    ledger, author, reader = ledger_with(2)
    ledger.take(author, [(REFUSED, 0, b'{"re":0,"error":{}}')], 0.0)
    deliver(ledger, reader, 1)
    faults = ledger.faults()
    assert faults["lost"] == 3
    assert faults["refusals"] == ['{"re":0,"error":{}}']
