"""Two agents in one process, traced: start `trajectory serve`, then `trajectory watch`, then run this.

A call of one wrapped agent by another is a delegation; nothing has to be said.
"""

import trajectory

trajectory.init(service="trip")

HOTELS = {
    "Lyon": [{"id": "H7", "total_eur": 840, "accessible": True}, {"id": "H9", "total_eur": 610, "accessible": False}]
}


@trajectory.tool
def search_hotels(city: str, accessible: bool) -> list[dict]:
    return [hotel for hotel in HOTELS.get(city, []) if hotel["accessible"] or not accessible]


class Researcher:
    def find(self, task: str) -> str:
        messages = [{"role": "user", "content": task}]
        with trajectory.model("scripted", messages=messages) as call:
            call.output("I will search Lyon, accessible only.", input_tokens=21, output_tokens=9, finish_reason="stop")
        hotel = search_hotels("Lyon", accessible="accessible" in task)[0]
        return f"{hotel['id']}, {hotel['total_eur']} EUR for two nights"


researcher = trajectory.wrap(Researcher(), agent="researcher")


@trajectory.agent("coordinator", title="Two nights in Lyon")
def plan(question: str) -> str:
    trajectory.plan(["find a hotel", "answer"])
    found = researcher.find("Find a wheelchair accessible hotel in Lyon, at most 900 EUR.")
    trajectory.thought(f"{found} fits the budget", confidence=0.9)
    return f"Book {found}."


if __name__ == "__main__":
    print(plan("Two nights in Lyon for two, at most 900 EUR, wheelchair accessible."))
    if not trajectory.flush(timeout_s=2):
        print("no collector heard this: start one with `trajectory serve`")
