import requests

from chat.demo import GROUPS, PASSWORD, PEOPLE


def api(deployment, token, path):
    answer = requests.get(f"{deployment.url}/api/v1{path}", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    answer.raise_for_status()
    return answer.json()


def log_in(deployment, username):
    data = {"username": username, "password": PASSWORD}
    answer = requests.post(f"{deployment.url}/api/v1/auth/login", json=data, timeout=10)
    answer.raise_for_status()
    return answer.json()["accessToken"]


def test_a_demo_can_be_filled_in_twice_and_talked_in_once(deployment):
    for _ in range(2):
        said = deployment.flask("demo")
        assert PASSWORD in said
        assert all(username in said for username in PEOPLE)
    alice = log_in(deployment, "alice")
    listed = api(deployment, alice, "/conversations")["conversations"]
    groups = [one for one in listed if one["kind"] == "group"]
    assert sorted(one["name"] for one in groups) == sorted(group.name for group in GROUPS)
    hike = next(one for one in groups if one["name"] == "Weekend hike")
    said = [
        one for one in api(deployment, alice, f"/conversations/{hike['id']}/messages")["messages"] if one["senderId"]
    ]
    assert [one["content"] for one in said] == [said.content for said in GROUPS[0].said]
    assert hike["unread"] == 5
    assert requests.get(deployment.url + said[-1]["media"]["thumbnailUrl"], timeout=10).ok
    assert api(deployment, alice, "/unread")["total"] > 4
    found = api(deployment, alice, "/users?query=李")["users"]
    assert "lilei" in [one["username"] for one in found]
