"""A worker as the tests start it: python member.py DESK OUT. Alone it trains as `dwcp train` does.

With a place in the environment it also tries what must be refused. OUT/said.json tells.
"""

import os
import sys
from pathlib import Path

from dwcp_ml import models
from dwcp_ml.errors import DwcpError
from dwcp_ml.files import write_json
from dwcp_ml.models.train import train
from dwcp_ml.scale.workers import team
from dwcp_ml.scale.workers_link import linked
from dwcp_ml.scale.workers_network import shared
from dwcp_ml.scale.workers_training import train_as


def refused(call, *arguments):
    try:
        call(*arguments)
    except DwcpError as error:
        return f"{error.exit_code} {error}"
    return "taken"


def with_layer(link, layer):
    import keras

    return shared(keras.Sequential([keras.Input((3, 2)), layer(keras.layers)]), link)


def as_worker(place, splits, params, out):
    said = {}
    with linked(place, 120.0) as link:
        for name in params.models:
            train_as(link, name, splits, params, out)
        name = params.models[0]
        raw = params.sections[name] | {"seed": 42 + place.index}
        params = params.model_copy(update={"sections": params.sections | {name: raw}})
        if len(place) > 1:
            said["other seed"] = refused(train_as, link, name, splits, params, out)
            return said
        said["statistics"] = refused(with_layer, link, lambda k: k.BatchNormalization())
        said["recurrent"] = refused(with_layer, link, lambda k: k.LSTM(2, recurrent_dropout=0.5))
        said["penalty"] = refused(with_layer, link, lambda k: k.Dense(2, kernel_regularizer="l2"))
        said["plain"] = refused(with_layer, link, lambda k: k.LSTM(2))
    return said


def main():
    desk, out = map(Path, sys.argv[1:])
    params, place = models.read_params(desk / "params.yaml"), team(os.environ)
    splits = desk / "splits"
    if place is None:
        for name in params.models:
            train(name, splits, params, out)
        return
    said = as_worker(place, splits, params, out)
    write_json(out.with_name(f"{out.name}-said.json"), said)


if __name__ == "__main__":
    main()
