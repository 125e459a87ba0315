"""What can be trained, and which keys may change when a run is resumed. It imports no torch."""

from typing import Any

from icdcli.config.schema import Config
from icdcli.errors import ConfigError, ResumeError

# Keys that must keep their values, each with the reason.
_FIXED = {
    **dict.fromkeys(("project", "name"), "a run stays in its folder"),
    "seeds": "it decides which models are trained",
    **dict.fromkeys(("seed", "batch_size"), "it decides the documents of the remaining steps"),
    **dict.fromkeys(
        ("metrics", "monitor", "pos_weight", "positive_threshold"),
        "the best value so far was measured with it",
    ),
    **dict.fromkeys(
        ("weight_decay", "head_lr_factor", "joint_head_lr_factor"),
        "the optimizer's state is grouped by it",
    ),
    "head_steps": "the weights learned so far depend on it",
    **dict.fromkeys(
        (
            *("dataset", "protocol", "label_pruning", "language", "codes", "code_system"),
            "projected_evidence",
            *("code_kind", "encoding"),
            *("text_cleaning", "label_space", "evidence_column", "evidence_path"),
            *("date_column", "train_on", "held_out_fold"),
            *("encounter_column", "note_type_column", "time_column", "note_types"),
            *("codes_path", "sequence_column", "poa_column", "version_column", "principal"),
            *("text_column", "codes_column", "id_column", "subject_column", "split_column"),
        ),
        "the corpus depends on it",
    ),
}


def require_trainable(config: Config) -> None:
    """Raise a `ConfigError` if a configuration is that of an ensemble, which isn't trained."""
    if config.model.is_ensemble:
        raise ConfigError(
            "model: ensemble: can't be trained. Train or resume its members, then combine them "
            "with `icdcode ensemble`."
        )


def allowed_changes(before: Config, after: Config) -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values differ, each with its old and its new value.

    Raises:
        ConfigError: If the run is an ensemble.
        ResumeError: If a key changed that a resumed run must keep; the message names all such keys.
    """
    require_trainable(before)
    old, new = before.flat(), after.flat()
    changes = {key: (old[key], new[key]) for key in old if old[key] != new[key]}
    model = set(type(after.model).model_fields)
    reasons = {key: "it defines the model" if key in model else _FIXED.get(key) for key in changes}
    refused = [
        f"{key}={changes[key][1]!r} (was {changes[key][0]!r}): {why}"
        for key, why in reasons.items()
        if why
    ]
    if refused:
        raise ResumeError(
            "\n  ".join(
                ["a resumed run can't change these keys; start a new run instead:", *refused]
            )
        )
    return changes
