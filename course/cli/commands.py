"""How the command line is read: several values may follow one option."""

from typer.core import TyperCommand

REPEATED = ("--set", "--data", "--validation", "--test")


class Command(TyperCommand):
    """A command in which `--set a=1 b=2` is `--set a=1 --set b=2`."""

    def parse_args(self, ctx, args):
        many = {
            name
            for param in self.params
            if getattr(param, "multiple", False)
            for name in param.opts
            if name in REPEATED
        }
        return super().parse_args(ctx, spread(args, many, positional=self._positional()))

    def _positional(self):
        return any(param.param_type_name == "argument" for param in self.params)


def spread(args, many, positional=False):
    """Puts the option's name before each further value.

    Args:
        args: the words of a command line.
        many: names of options that take several values.
        positional: whether a word without an option may be the command's own; then only what can be
            nothing else, NAME=VALUE after `--set`, counts as a further value.
    """
    found, option, values = [], None, 0
    for word in args:
        if word.startswith("-") and word != "-":
            option, values = (word if word in many else None), 0
        elif option:
            if values and (not positional or (option == "--set" and "=" in word)):
                found.append(option)
            values += 1
        found.append(word)
    return found
