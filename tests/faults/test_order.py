"""What one connection sends takes effect in the order in which it was sent, however many send at once."""

from tests.clients.crowd import Crowd

BURST = 120  # messages of a device, all under way at once


def test_messages_of_one_connection_stand_in_the_order_in_which_they_were_sent(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    devices = [crowd.device(person, web=web) for person in (ann, bob) for web in (0, 1, 0)]
    places = [{"conversationId": group}, {"toUser": ann.id}, {"conversationId": group}, {"conversationId": group}]
    posted = [
        [device.post("message.send", content=f"{number}", **places[number % 4]) for number in range(BURST)]
        for device in devices
    ]
    for device, numbers in zip(devices, posted, strict=True):
        acked = [device.reply(number) for number in numbers]
        assert [message["content"] for message in acked] == [str(number) for number in range(BURST)]
        for place in (group, acked[1]["conversationId"]):
            seqs = [message["seq"] for message in acked if message["conversationId"] == place]
            assert seqs == sorted(seqs)
    crowd.check()


def test_a_read_sees_the_writes_before_it_on_the_same_connection(crowd: Crowd) -> None:
    ann, bob = crowd.persons(2)
    group = ann.group(bob)
    device, other = crowd.device(ann), crowd.device(bob, web=1)
    for turn in range(20):
        other.post("message.send", conversationId=group, content="in between")
        device.post("message.send", conversationId=group, content=f"turn {turn}")
        page = device.reply(device.post("history", conversationId=group, limit=10))
        assert f"turn {turn}" in [message["content"] for message in page["messages"]]
    crowd.check()
