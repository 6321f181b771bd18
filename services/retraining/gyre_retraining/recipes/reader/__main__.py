"""`python -m gyre_retraining.recipes.reader train | export | score`; train again to go on."""

import argparse
from pathlib import Path

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from gyre_retraining.recipes.reader import held_out, path, results
from gyre_retraining.recipes.reader.config import Recipe, load_recipe
from gyre_retraining.recipes.reader.evaluation import Judge, score_all
from gyre_retraining.recipes.reader.export import export, read_tally
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.prepare import prepare
from gyre_retraining.recipes.reader.run import Places, restored, trained


def main() -> None:
    """Read the arguments, run the step."""
    asked = _arguments()
    recipe = load_recipe(asked.recipe)
    places = Places(asked.data, asked.work, asked.encoder)
    if asked.step == "score":
        _score(recipe, places, asked.out, asked.items)
        if asked.lists:
            _score_lists(asked.out, asked.lists)
    else:
        if asked.step == "train":
            trained(recipe, places)
        model, tokenizer, tally = restored(recipe, places)
        export(model, tokenizer, asked.out, recipe, tally)


def _score(recipe: Recipe, places: Places, out: Path, count: int) -> None:
    material = prepare(recipe, places.data, places.work)
    model = LlamaForCausalLM.from_pretrained(out, dtype="float32", use_safetensors=True)
    layout = Layout(material.tokenizer)
    shown = {}
    for name, ranked in (("best first", True), ("shuffled", False)):
        judge = Judge(model, layout, material.rarity, ranked)
        shown[name] = score_all(judge, material, places.data, count)
        print(f"{name}\n{results.table(shown[name])}", flush=True)
    asked = held_out.squad_items(places.data, count, 3)
    strange = held_out.off_topic_items(places.data, count, 3)
    refused = Judge(model, layout, material.rarity).refusing(asked, strange)
    print("questions from another article refused at 10 % false refusals:", refused)
    results.append(
        results.row(recipe, read_tally(out), model.num_parameters(), shown, refused), places.work
    )


def _score_lists(out: Path, lists: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out)
    model = LlamaForCausalLM.from_pretrained(out, dtype="float32", use_safetensors=True)
    scores = path.score_lists(model, Layout(tokenizer), lists)
    print(f"the whole answer path\n{path.table(scores)}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="reader", description=__doc__)
    parser.add_argument("step", choices=["train", "export", "score"])
    default = Path(__file__).with_name("reader.yaml")
    parser.add_argument("--recipe", type=Path, default=default, help="the run's YAML")
    parser.add_argument("--data", type=Path, required=True, help="folder with lm/ and dev/")
    parser.add_argument("--work", type=Path, required=True, help="working folder of this run")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint folder")
    parser.add_argument("--encoder", type=Path, help="all-MiniLM-L6-v2 folder, for the start")
    parser.add_argument("--items", type=int, default=400, help="items per evaluation set")
    told = "JSON lines of the inference service's `calibration lists`: scores the whole path, too"
    parser.add_argument("--lists", type=Path, help=told)
    return parser.parse_args()


if __name__ == "__main__":
    main()
