"""One vocabulary of settings for all recipes, and runs that were saved under older names."""

import json
from dataclasses import fields

import pytest

from course import fine_tuning, pretraining, training, translation
from course.cli.train import recipe_from

# What each kind of run wrote before the names became one, shortened to settings of each sort.
SAVED = {
    translation.Recipe: {
        "vocab_size": 2000,
        "kind": "wordpiece",
        "steps": 900,
        "peak": 0.006,
        "warmup_steps": 100,
        "cooldown_steps": 0,
        "smoothing": 0.1,
        "round_steps": 90,
        "keep": 3,
        "patience": None,
        "mixed": None,
    },
    pretraining.Recipe: {
        "vocab_size": 4000,
        "accumulate": 2,
        "steps": 240,
        "peak": 0.01,
        "warmup_steps": 24,
        "round_steps": 40,
        "mixed": "mixed_bfloat16",
    },
    fine_tuning.Recipe: {
        "output_dir": "runs/answers",
        "epochs": 3,
        "train_batch_size": 16,
        "warmup_steps": 18,
        "learning_rate": 0.001,
        "logging_dir": None,
        "round_steps": None,
        "mixed": None,
    },
}
RECIPES = list(SAVED)


@pytest.mark.parametrize("kind", RECIPES)
def test_a_recipe_saved_under_older_names_loads(tmp_path, kind):
    (tmp_path / "recipe.json").write_text(json.dumps(SAVED[kind]))
    recipe = training.load_recipe(tmp_path, kind)
    for name, value in SAVED[kind].items():
        assert getattr(recipe, training.current_names({name: 0}).popitem()[0]) == value
    recipe.save(tmp_path)
    assert training.load_recipe(tmp_path, kind) == recipe


def test_a_setting_has_one_name_in_all_recipes():
    assert all(issubclass(kind, training.Recipe) for kind in RECIPES)
    names = {name for kind in RECIPES for name in kind.names()}
    assert not names & {"peak", "mixed", "steps", "folder", "train_batch_size", "accumulate"}


@pytest.mark.parametrize("kind", RECIPES)
def test_every_setting_is_explained(kind):
    pages = (kind.__doc__ or "") + (training.Recipe.__doc__ or "")
    assert [f.name for f in fields(kind) if f.name not in pages] == []


@pytest.mark.parametrize(
    ("recipe", "per_epoch", "warm_up"),
    [
        (fine_tuning.Recipe(), 9, 2),  # 27 updates
        (fine_tuning.Recipe(), 5000, 500),
        (fine_tuning.Recipe(warmup_steps=7), 9, 7),
        (fine_tuning.Recipe.classic(), 9, 500),
        (translation.Recipe(), 9, 2000),
        (translation.Recipe(max_steps=200), 9, 50),
        (pretraining.Recipe(), 9, 1000),
        (pretraining.Recipe(max_steps=30), 9, 3),
    ],
)
def test_the_warm_up_follows_the_number_of_updates(recipe, per_epoch, warm_up):
    assert recipe.resolved(per_epoch).warmup_steps == warm_up


def test_a_run_that_is_prolonged_keeps_its_warm_up(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"warmup_steps": 50}))
    assert translation.Recipe(max_steps=400).resolved(9, tmp_path).warmup_steps == 50


def test_the_shorter_of_max_steps_and_epochs_ends_the_run():
    assert translation.Recipe(max_steps=100, epochs=3).total_steps(20) == 60
    assert translation.Recipe(max_steps=50, epochs=3).total_steps(20) == 50
    with pytest.raises(ValueError, match="neither max_steps nor epochs"):
        translation.Recipe(max_steps=None).total_steps(20)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_steps": 0}, "max_steps = 0: expected at least 1"),
        ({"epochs": 0}, "epochs = 0: expected at least 1"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0: expected more than 0"),
        ({"warmup_steps": -1}, "warmup_steps = -1: expected at least 0"),
        ({"dtype_policy": "half"}, "dtype_policy = 'half': expected None, 'float32'"),
    ],
)
@pytest.mark.parametrize("kind", RECIPES)
def test_a_value_out_of_range_is_refused_by_name(kind, settings, says):
    with pytest.raises(ValueError, match=says):
        kind(**settings)


def test_settings_of_a_command_take_older_names_and_say_so(capsys):
    recipe = recipe_from(translation.Recipe, ["peak=0.004", "steps=7", "dtype_policy=None"])
    assert (recipe.learning_rate, recipe.max_steps, recipe.dtype_policy) == (0.004, 7, None)
    assert "peak is now called learning_rate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("learning_rat=1", "Did you mean learning_rate"),
        ("max_steps", "expected NAME=VALUE"),
        ("max_steps=7.5", "expected a value like 8000"),
        ("max_steps=true", "expected a value like 8000"),
        ("patience=soon", "expected int or None"),
        ("lowercase=yes", "expected a value like False"),
    ],
)
def test_a_setting_of_a_command_that_does_not_fit_says_what_does(text, says):
    with pytest.raises(ValueError, match=says):
        recipe_from(translation.Recipe, [text])


def test_of_a_setting_given_twice_the_last_counts_and_is_said(capsys):
    assert recipe_from(translation.Recipe, ["max_steps=7", "max_steps=8"]).max_steps == 8
    assert "max_steps is set twice; 8, the last, counts" in capsys.readouterr().err


def test_a_run_begun_under_older_names_goes_on(tmp_path):
    """Lesson 05's run of the version before: its run.json is compared under the names of today."""
    from course.training.loop import _Run

    was = {"round_steps": 90, "peak": 0.006, "smoothing": 0.1, "mixed": None, "ending": None}
    (tmp_path / "run.json").write_text(json.dumps(was))
    now = {"round_steps": 90, "learning_rate": 0.006, "label_smoothing": 0.1, "epochs": None}
    options = (900, 90, "val_nll", None, 3)
    _Run(tmp_path, *options, now | {"ending": None}, None)
    with pytest.raises(ValueError, match=r"learning_rate was 0\.006, now 0\.1"):
        _Run(tmp_path, *options, now | {"learning_rate": 0.1, "ending": None}, None)


def test_a_start_brings_its_sizes_and_what_is_set_against_it_is_an_error():
    from course.checkpoints import pretraining_start

    start = pretraining_start(pretraining.world_bert())
    config = start[0].encoder.get_config()
    recipe = pretraining.recipe_of_start(pretraining.Recipe(), start)
    assert (recipe.num_heads, recipe.d_model) == (config["num_heads"], config["d_model"])
    assert recipe.max_length <= recipe.max_positions == config["max_length"]
    other = pretraining.Recipe(num_heads=2 * config["num_heads"])
    with pytest.raises(ValueError, match=r"num_heads = .* and the start has"):
        pretraining.recipe_of_start(other, start, ["num_heads"])
    with pytest.raises(ValueError, match="brings its own vocabulary"):
        pretraining.recipe_of_start(pretraining.Recipe(), start, ["vocab_size"])


def test_a_start_with_other_heads_is_refused(tmp_path):
    from dataclasses import replace

    from course.checkpoints import pretraining_start

    start = pretraining_start(pretraining.world_bert())
    recipe = pretraining.recipe_of_start(pretraining.Recipe(max_steps=1), start)
    recipe = replace(recipe, num_heads=1)
    (tmp_path / "a.txt").write_text("One day. It was.\n\nTwo days. They were.\n")
    with pytest.raises(ValueError, match="num_heads is 1 by the recipe"):
        pretraining.pretrain(recipe, [tmp_path / "a.txt"], tmp_path / "run", start=start)
