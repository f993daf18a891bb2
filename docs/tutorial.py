"""Two models tuned by hand: the examples of a 2023 tutorial, with the names that they have today.

    export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=…     # what `ftbuild serve` says
    python docs/tutorial.py [--model MODEL] [--words 48] [--epochs 5]

First Pig Latin, whose answers a Python function makes; then an expert on Handel's opera Agrippina.  Needs the package `openai`
and a server that tunes models.  With ftbuild's bundled model it takes some minutes, with fewer words and epochs less.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from openai import OpenAI

client = OpenAI()  # base URL and key come from the environment
SEPARATOR, STOP = " \n ### \n", " [DONE]"

WORDS = [
    "apple", "river", "stone", "garden", "window", "bridge", "letter", "market", "winter", "summer", "orange", "yellow",
    "silver", "school", "friend", "mother", "father", "sister", "brother", "kitchen", "doctor", "farmer", "island",
    "ocean", "forest", "flower", "thunder", "morning", "evening", "quiet", "strong", "bright", "clever", "gentle",
    "simple", "travel", "listen", "remember", "question", "answer", "mountain", "valley", "desert", "harbor", "village",
    "castle", "temple", "street",
]  # fmt: skip

OPERA = [
    ("Act 1", "the opening", "Whom does Agrippina want to see on the throne?", "Nero, her son by a previous marriage."),
    ("Act 1", "the opening", "Who is Agrippina married to?", "The Emperor Claudius, whose death at sea is reported."),
    ("Act 1", "the opening", "Whose help does Agrippina seek?", "That of Pallas and Narcissus, who both love her."),
    ("Act 1", "the opening", "Who saved Claudius from drowning?", "Otho, the commander of his army."),
    ("Act 1", "the opening", "What did Claudius promise Otho for saving his life?", "The throne, after his own death."),
    ("Act 1", "Poppaea", "Whom does Otho love?", "Poppaea, more than he wants the throne."),
    ("Act 1", "Poppaea", "Who else loves Poppaea?", "Claudius and Nero do, each in his own way."),
    ("Act 1", "Poppaea", "What does Agrippina tell Poppaea?", "That Otho gave her up to Claudius for the throne."),
    ("Act 2", "the triumph", "Who calls Otho a traitor?", "Claudius, and then everyone else turns from him, too."),
    ("Act 2", "the triumph", "Who finds out that Otho is innocent?", "Poppaea, who pretends to sleep and listens to him."),
    ("Act 2", "Agrippina", "What does Agrippina order Pallas to do?", "To murder Narcissus and Otho."),
    ("Act 3", "the end", "Who is to follow Claudius in the end?", "Nero, while Otho marries Poppaea."),
]


def pig_latin(word: str) -> str:
    """Return a word in Pig Latin."""
    start = next((n for n, letter in enumerate(word) if letter in "aeiou"), 0)
    return word[start:] + word[:start] + "ay" if start else word + "way"


def tune(name: str, rows: list[dict[str, str]], model: str, epochs: int) -> str:
    """Upload rows, tune a model on them, follow the job's events, and return the name of the tuned model."""
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    file = client.files.create(file=(f"{name}.jsonl", content), purpose="fine-tune")
    hyperparameters: Any = {"n_epochs": epochs}
    job = client.fine_tuning.jobs.create(
        model=model,
        training_file=file.id,
        suffix=name,
        method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
    )
    seen: set[str] = set()
    while True:
        over = job.status in ("succeeded", "failed", "cancelled")  # asked before the events, so that the last ones are told
        for event in reversed(client.fine_tuning.jobs.list_events(job.id, limit=100).data):
            if event.id not in seen and event.type == "message":
                print(f"  {event.message}", flush=True)
            seen.add(event.id)
        if over:
            break
        time.sleep(1)
        job = client.fine_tuning.jobs.retrieve(job.id)
    client.files.delete(file.id)
    if job.fine_tuned_model is None:
        raise SystemExit(f"{job.id}: {job.status}: {job.error and job.error.message}")
    results = client.files.content(job.result_files[0]).text.splitlines()
    print(f"  {results[0]}\n  {results[1]}\n  …\n  {results[-1]}")
    return job.fine_tuned_model


def ask(model: str, prompt: str) -> str:
    """Return what a model says after a prompt, up to the stop token."""
    made = client.completions.create(model=model, prompt=prompt, max_tokens=40, temperature=0, stop=STOP)
    return made.choices[0].text.strip()


def main() -> None:
    """Run the tutorial."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--words", type=int, default=len(WORDS), help="how many words of Pig Latin to learn")
    parser.add_argument("--epochs", type=int, default=5, help="how often each row is seen")
    options = parser.parse_args()

    print("Pig Latin")
    template = "Turn the following word into Pig Latin: %s \n\n###\n\n"
    rows = [{"prompt": template % word, "completion": f" {pig_latin(word)}{STOP}"} for word in WORDS[: options.words]]
    model = tune("pig-latin", rows, options.model, options.epochs)
    print(f"  latin: {ask(model, template % 'latin')}   (atinlay is right)")
    client.models.delete(model)

    print("Agrippina")
    question = "Who does Agrippina plot to secure the throne for?"
    print(f"  before: {ask(options.model, question)!r}")
    prefix = "Answer the following question about the Opera Agrippina, Section %s, subsection %s: \n"
    rows = [
        {"prompt": prefix % (act, scene) + asked + SEPARATOR, "completion": f" {answer}{STOP}"}
        for act, scene, asked, answer in OPERA
    ]
    model = tune("agrippina", rows, options.model, options.epochs)
    for act, scene, asked in [
        ("Act 1", "the opening", question),  # newly worded
        ("Act 1", "the opening", "Who saved Claudius from drowning?"),  # from the training rows
        ("Act 2", "Agrippina", "What is Agrippina's state of mind after Pallas and Narcissus turn against her?"),
        ("Act 3", "the end", "How does Agrippina's fortune change through the opera?"),
    ]:
        print(f"  {asked}\n    {ask(model, prefix % (act, scene) + asked + SEPARATOR)}")
    client.models.delete(model)
    print(f"deleted: {model not in [one.id for one in client.models.list()]}")


if __name__ == "__main__":
    main()
