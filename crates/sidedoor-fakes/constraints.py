"""Writes what AWS's service model says about the requests of the operations that the fake Connect supports: required members, lengths,
enums and patterns. The fake refuses what breaks these rules.

    python3 crates/sidedoor-fakes/constraints.py > crates/sidedoor-fakes/src/connect/constraints.json

Run it with a Python that has botocore. tests/clients/test_constraints.py compares the committed table with the botocore that is pinned in
tests/clients/requirements.txt.
"""

import json

import botocore.loaders

# Service, version of its model, operations.
FAKED = [
    (
        "connect",
        "2017-08-08",
        [
            "DescribeContact",
            "DescribeInstance",
            "DescribeInstanceAttribute",
            "DescribeQueue",
            "DescribeUser",
            "GetCurrentUserData",
            "ListAssociatedContacts",
            "ListSecurityProfiles",
            "MonitorContact",
            "SearchContacts",
            "SearchUsers",
            "StopContact",
        ],
    ),
    ("sts", "2011-06-15", ["GetCallerIdentity"]),
]
# What the model says about a value. The rest of it is documentation.
RULES = ["enum", "max", "min", "pattern", "required"]


def member(model):
    """A member of a structure: its shape, and where it is if not in the body."""
    if model.get("location") in ("uri", "querystring"):
        return {"shape": model["shape"], "in": model["location"], "name": model.get("locationName")}
    return {"shape": model["shape"]}


def rules_of(shape):
    found = {"type": shape["type"], **{rule: shape[rule] for rule in RULES if shape.get(rule) not in (None, [])}}
    if shape["type"] == "structure":
        found["members"] = {name: member(model) for name, model in shape["members"].items()}
    elif shape["type"] == "list":
        found["member"] = shape["member"]["shape"]
    return found


def below(rules):
    if rules["type"] == "list":
        return [rules["member"]]
    return [each["shape"] for each in rules.get("members", {}).values()]


def table():
    operations, shapes = {}, {}
    for service, version, names in FAKED:
        model = botocore.loaders.Loader().load_service_model(service, "service-2", api_version=version)
        for name in names:
            operation = model["operations"][name]
            top = operation["input"]["shape"]
            operations[name] = {
                "path": operation["http"]["requestUri"],
                "errors": sorted(error["shape"] for error in operation.get("errors", [])),
                "input": top,
            }
            todo = [top]
            while todo:
                shape = todo.pop()
                if shape not in shapes:
                    shapes[shape] = rules_of(model["shapes"][shape])
                    todo.extend(below(shapes[shape]))
    return {"operations": operations, "shapes": shapes}


def text():
    """The table with one line for each operation and shape, so that a difference is easy to read."""

    def lines(entries):
        return ",\n".join(f"    {json.dumps(name)}: {json.dumps(entries[name], sort_keys=True)}" for name in sorted(entries))

    made = table()
    return (
        f'{{\n  "operations": {{\n{lines(made["operations"])}\n  }},\n'
        f'  "shapes": {{\n{lines(made["shapes"])}\n  }}\n}}\n'
    )


if __name__ == "__main__":
    print(text(), end="")
