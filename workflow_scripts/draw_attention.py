"""Draw where a pretrained network's spatial attention looks, over faces that may be shown."""

from pathlib import Path

from mer_core import job

with job.importing():
    import torch

    from mer_core.config.models import Variant
    from mer_core.config.report import Report
    from mer_core.models import attention_maps, build_model
    from mer_core.models.weights import load_weights
    from mer_core.report.figures import save_figure
    from mer_core.report.pictures import attention_maps as draw
    from mer_core.report.pictures import may_show, notice
    from mer_core.training import data

STAGES = {"stage 1": 1, "stage 2": 3, "stage 3": 5, "stage 4": 7}  # each stage's last residual unit


def main(snakemake):
    params, settings = snakemake.params, Report.model_validate(snakemake.params.report)
    given = Path(snakemake.input.cache), Path(snakemake.input.manifest)
    samples = data.load(*given, params.classes, torch.device("cpu"))
    normalization = params.pretraining["normalization"]
    samples = data.with_normalization(samples, normalization, torch.arange(len(samples.labels)))
    allowed = [
        may_show(params.target, subject, **params.about, settings=settings)
        for subject in samples.table.subject
    ]
    # One face of each class.
    shown = samples.table[allowed].drop_duplicates("label").sort_values("label")
    index = torch.tensor(shown.index.tolist())

    model = build_model(
        Variant.model_validate(params.variant).attention, len(params.classes), params.reduction
    )
    load_weights(model, Path(snakemake.input.weights), skip_classifier=True)
    with torch.inference_mode():
        _, units = attention_maps(model.eval(), samples.normalize(samples.pixels(index)))
    gates = {name: units[place].spatial[:, 0].numpy() for name, place in STAGES.items()}
    figure = draw(samples.images[index].numpy(), gates, shown.label.tolist(), credit=notice(**params.about))
    save_figure(figure, Path(snakemake.output.png).with_suffix(""))


if __name__ == "__main__":
    with job.logged(snakemake.log[0]):
        main(snakemake)
