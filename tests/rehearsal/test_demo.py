"""The story of `make demo`, with whatever can happen to it on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import envelope
from harness.wire import Mail
from hyperhive.rehearsal.conversation import conversation, hear
from hyperhive.rehearsal.scenario import load_scenario
from tests.rehearsal.players import Company
from tests.rehearsal.story import ASK, DEMO, DONE, KICK
from tests.rehearsal.talk import request, said, told


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Start the three agents of the demo."""
    return Company.of(load_scenario(DEMO), tmp_path, "manager", "coder", "reviewer")


class TestDemo:
    """The demo's scenario."""

    def test_story(self, company: Company) -> None:
        """The operator's wish goes through all three, a real file is written and tested, and the answer comes back."""
        company.send("operator", "manager", ASK)
        company.run()
        assert [(sender, to) for sender, to, _ in company.sent] == [
            ("operator", "manager"),
            ("manager", "coder"),
            ("coder", "reviewer"),
            ("reviewer", "manager"),
            ("manager", "operator"),
        ]
        assert company.asked("operator") == [DONE]
        assert "The operator's words: Please have coder write slug.py," in company.asked("coder")[0]
        shown = company.asked("reviewer")[0]
        assert "\nOK\nexit code 0\n" in shown
        assert shown.endswith((company.players["coder"].home / "slug.py").read_text().strip())

    def test_kicks_are_answered_by_ending_the_turn(self, company: Company) -> None:
        """Being started, and hearing of others' starts, moves nobody."""
        for name in company.players:
            company.send("system", name, KICK)
        company.send("system", "manager", '{"event": "spawned", "agent": "coder", "ok": true}')
        company.run()
        assert {sender for sender, _, _ in company.sent} == {"system"}

    def test_batch_is_worked_off_whole(self, company: Company) -> None:
        """Two wishes, a greeting and a kick in one batch: each gets what it would have got alone."""
        company.send("system", "manager", KICK)
        for wish in (ASK, "hello there", "coder: slug again"):
            company.send("operator", "manager", wish)
        company.run()
        answers = {body.split(":")[0]: body for body in company.asked("operator")}
        assert len(company.asked("operator")) == 3
        assert answers.keys() == {f"About your message {number}" for number in (8, 9, 10)}
        assert "one story only" in answers["About your message 9"]
        assert len(company.asked("reviewer")) == 2

    def test_mail_that_comes_twice_is_answered_once(self, company: Company) -> None:
        """Every message comes again after its turn; what the session remembers as done is not done again."""
        company.send("operator", "manager", ASK)
        while waiting := [player for player in company.players.values() if company.inboxes.get(player.name)]:
            for player in waiting:
                mail = company.inboxes.pop(player.name)
                company.turn(player, envelope.turn(mail), mail)
                again = [Mail.from_wire(each.to_wire() | {"redelivered": True}) for each in mail]
                company.turn(player, envelope.turn(again), again)
        assert company.asked("operator") == [DONE]

    @pytest.mark.parametrize("name", ["manager", "coder", "reviewer"])
    @pytest.mark.parametrize("steps", range(4))
    def test_crash_at_any_step_is_survived(self, company: Company, name: str, steps: int) -> None:
        """An agent killed before or after any of its tool calls goes on, and the operator has one answer."""
        company.players[name].steps_left = steps
        company.send("operator", "manager", ASK)
        company.run()
        assert company.asked("operator") == [DONE]

    def test_missing_coder_is_told_to_the_operator(self, tmp_path: Path) -> None:
        """Where manager cannot pass the job on, the operator hears why."""
        company = Company.of(load_scenario(DEMO), tmp_path, "manager")
        company.send("operator", "manager", ASK)
        company.run()
        assert company.asked("operator") == ["I could not pass your job on: no agent 'coder'"]

    def test_failing_tests_are_no_praise(self, company: Company) -> None:
        """The review depends on what the tests really said."""
        company.send("coder", "reviewer", "Job 7: please check slug.py.\n\nFAILED\nexit code 1\n\nx = 1")
        company.run()
        (told_operator,) = company.asked("operator")
        assert told_operator.endswith("the tests fail; coder should look again before anyone uses it.")


class TestGoingOn:
    """Turns that the harness takes up again."""

    def test_mail_of_a_cut_turn_is_read_again(self) -> None:
        """The harness's words for going on are known here: the mail above them is read again, fresh mail with it."""
        mail = [Mail(id=7, at="now", sender="operator", body="build it")]
        fresh = [Mail(id=9, at="now", sender="operator", body="and test it")]
        heard = hear(
            conversation(
                request(
                    told(envelope.turn(mail), envelope.again([7], "API Error: 529", [])),
                    said("No response requested."),
                    told("[Request interrupted by user]\n", envelope.again([7], "killed", fresh)),
                )
            )
        )
        assert heard.step == 1
        assert heard.text == heard.turn
        for words in ("> build it", "(API Error: 529)", "(killed)", "> and test it"):
            assert words in heard.text

    def test_mail_cannot_pretend_to_go_on(self) -> None:
        """A body with the harness's words is a mail like any other."""
        mail = [Mail(id=8, at="now", sender="coder", body=envelope.again([7], "killed", []))]
        heard = hear(conversation(request(told("> old"), said("done"), told(envelope.turn(mail)))))
        assert "> old" not in heard.text
