"""``taxiway login`` and the commands about users, projects and API tokens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from taxiway.cli.output import AsJson, ExitCode, Yes, answered, confirm, connected, fail, print_json, say, show_table

user = typer.Typer(help="Users (administrators only).", no_args_is_help=True)
project = typer.Typer(help="Projects and their members.", no_args_is_help=True)
token = typer.Typer(help="API tokens: what programs show to the control API and to MLflow.", no_args_is_help=True)
UserName = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]
ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.")]
MustChange = Annotated[
    bool, typer.Option("--must-change", help="The user must choose another one with `taxiway password` first.")
]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", help="File with the password; else asked for.")]


def add_to(application: typer.Typer) -> None:
    """Add the commands of this file."""
    application.command("login")(login)
    application.command("whoami")(whoami)
    application.command("password")(change_password)
    application.add_typer(user, name="user")
    application.add_typer(project, name="project")
    application.add_typer(token, name="token")


def _read_password(file: Path | None, prompt: str = "Password", *, is_new: bool = False) -> str:
    if file is not None:
        try:
            return file.read_text().rstrip("\r\n")
        except OSError as error:
            fail(f"{file} cannot be read: {error.strerror}.", code=ExitCode.USAGE)
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt(prompt, hide_input=True, err=True, confirmation_prompt=is_new))


def login(
    name: Annotated[str, typer.Option("--user", "-u", help="Your user name.")] = "admin",
    url: Annotated[str | None, typer.Option(help="Where Taxiway is; else the profile's.")] = None,
    password_file: PasswordFile = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Project for later commands.")] = None,
    profile: Annotated[str, typer.Option(help="Keep it under this name.")] = "default",
    days: Annotated[float, typer.Option(help="How long the token lives.")] = 30,
) -> None:
    """Sign in and keep an API token in a file that only you can read."""
    import socket

    from taxiway.client.connection import Profile, find_profile, save_profile
    from taxiway.client.signing_in import sign_in

    target = (url or find_profile(profile).url).rstrip("/")
    password = _read_password(password_file)
    with answered():
        secret = sign_in(
            target,
            user=name,
            password=password,
            token_name=f"taxiway login on {socket.gethostname()}"[:80],
            days=days,
            project=project,
        )
    file = save_profile(Profile(url=target, token=secret, project=project), name=profile)
    say(f"Signed in to {target} as {name}; the token is in {file}.")


def whoami(as_json: AsJson = False) -> None:
    """Show who one is, and the projects that one is a member of."""
    from taxiway.client import calls

    with connected() as client:
        me = client.send(calls.plain("GET", "session"))
    print_json(me) if as_json else _show_me(me)


def _show_me(me: dict[str, object]) -> None:
    for key in ("name", "role", "projects", "home", "method"):
        value = me[key]
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        if shown:
            typer.echo(f"{key:<10}  {shown}")


def change_password(
    name: Annotated[str, typer.Option("--user", "-u", help="Your user name.")] = "admin",
    url: Annotated[str | None, typer.Option(help="Where Taxiway is; else the profile's.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the present password; else asked for.")] = None,
    new_password_file: Annotated[Path | None, typer.Option(help="File with the new one; else asked for.")] = None,
) -> None:
    """Change your own password; also the one that an administrator gave you to be changed first."""
    from taxiway.client.connection import find_profile
    from taxiway.client.signing_in import change_own_password

    target = (url or find_profile().url).rstrip("/")
    old = _read_password(password_file)
    new = _read_password(new_password_file, "New password", is_new=True)
    with answered():
        change_own_password(target, user=name, old=old, new=new)
    say(f"The password of {name} is changed; sessions that were open elsewhere have ended.")


@user.command("create")
def create_user(
    name: UserName,
    administrator: Annotated[bool, typer.Option("--administrator", help="May do everything.")] = False,
    password_file: PasswordFile = None,
    must_change: MustChange = False,
) -> None:
    """Make a user."""
    from taxiway.client import calls

    body = {
        "name": name,
        "role": "administrator" if administrator else "data-scientist",
        "password": _read_password(password_file, f"Password for {name}", is_new=True),
        "must_change_password": must_change,
    }
    with connected() as client:
        client.send(calls.plain("POST", "users", body=body))
    say(f"User {name} was made.")


@user.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List users."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "users", limit=1000))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[
            ("NAME", lambda u: u["name"]),
            ("ROLE", lambda u: u["role"]),
            ("DISABLED", lambda u: "yes" if u["is_disabled"] else ""),
        ],
        empty="No users.",
    )


def _change_user(name: str, **change: object) -> None:
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("PATCH", "users", name, body=change))


@user.command("set-role")
def set_role(
    name: UserName,
    role: Annotated[Literal["data-scientist", "administrator"], typer.Argument(help="data-scientist or administrator")],
) -> None:
    """Change a user's role; ends the user's sessions."""
    _change_user(name, role=role)
    say(f"{name} is {'an administrator' if role == 'administrator' else 'a data scientist'} now.")


@user.command("disable")
def disable_user(name: UserName) -> None:
    """Let a user in no more: neither sessions nor API tokens count. Models and their endpoints stay as they are."""
    _change_user(name, is_disabled=True)
    say(f"User {name} is disabled.")


@user.command("enable")
def enable_user(name: UserName) -> None:
    """Let a disabled user in again."""
    _change_user(name, is_disabled=False)
    say(f"User {name} is enabled.")


@user.command("set-password")
def set_password(name: UserName, password_file: PasswordFile = None, must_change: MustChange = False) -> None:
    """Give a user another password; ends the user's sessions."""
    from taxiway.client import calls

    password = _read_password(password_file, f"New password for {name}", is_new=True)
    body = {"password": password, "must_change_password": must_change}
    with connected() as client:
        client.send(calls.plain("PUT", "users", name, "password", body=body))
    say(f"The password of {name} is changed.")


@user.command("delete")
def delete_user(name: UserName, yes: Yes = False) -> None:
    """Delete a user with memberships, sessions and API tokens; refused while it owns deployments."""
    from taxiway.client import calls

    confirm(f"Delete the user {name}?", yes=yes)
    with connected() as client:
        client.send(calls.plain("DELETE", "users", name))
    say(f"User {name} is deleted.")


@project.command("create")
def create_project(name: ProjectName, description: Annotated[str, typer.Option(help="What it is for.")] = "") -> None:
    """Make a project: a space of its own for experiments and models."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("POST", "projects", body={"name": name, "description": description}))
    say(f"Project {name} was made.")


@project.command("list")
def list_projects(as_json: AsJson = False) -> None:
    """List the projects that one sees."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "projects", limit=1000))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[("NAME", lambda p: p["name"]), ("DESCRIPTION", lambda p: p["description"])],
        empty="No projects yet. An administrator makes one: `taxiway project create NAME`.",
    )


@project.command("describe")
def describe_project(name: ProjectName, description: Annotated[str, typer.Option(help="What it is for.")]) -> None:
    """Describe a project anew."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("PATCH", "projects", name, body={"description": description}))
    say(f"Project {name} is described anew.")


@project.command("delete")
def delete_project(name: ProjectName, yes: Yes = False) -> None:
    """Delete a project; refused while it has model versions. Its runs stay in MLflow, where nobody sees them."""
    from taxiway.client import calls

    confirm(f"Delete the project {name}?", yes=yes)
    with connected() as client:
        client.send(calls.plain("DELETE", "projects", name))
    say(f"Project {name} is deleted.")


@project.command("members")
def list_members(name: ProjectName, as_json: AsJson = False) -> None:
    """List a project's members."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "projects", name, "members"))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[
            ("NAME", lambda m: m["name"]),
            ("ROLE", lambda m: m["role"]),
            ("DISABLED", lambda m: "yes" if m["is_disabled"] else ""),
        ],
        empty=f"No members yet. Let one in: `taxiway project add-member {name} USER`.",
    )


@project.command("add-member")
def add_member(name: ProjectName, user_name: UserName) -> None:
    """Let a user into a project."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("PUT", "projects", name, "members", user_name))
    say(f"{user_name} is a member of {name}.")


@project.command("remove-member")
def remove_member(name: ProjectName, user_name: UserName) -> None:
    """Take a user out of a project."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("DELETE", "projects", name, "members", user_name))
    say(f"{user_name} is no member of {name} any more.")


@token.command("create")
def create_token(
    name: Annotated[str, typer.Option("--name", "-n", help="What it is for.")],
    home: Annotated[str | None, typer.Option("--project", "-p", help="Project of its MLflow calls.")] = None,
    days: Annotated[float, typer.Option(help="How long it lives.")] = 90,
    scope: Annotated[
        list[str] | None, typer.Option(help="Only this permission, for example tracking:read; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API token; it is printed this once. Use it as MLFLOW_TRACKING_TOKEN or TAXIWAY_TOKEN."""
    from taxiway.client import calls

    body = {"name": name, "days": days, "project": home, "scopes": scope or None}
    with connected() as client:
        made = client.send(calls.plain("POST", "tokens", body=body))
    print_json(made) if as_json else typer.echo(made["token"])


@token.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List one's own API tokens."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "tokens"))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[
            ("ID", lambda t: t["id"]),
            ("NAME", lambda t: t["name"]),
            ("PROJECT", lambda t: t["project"]),
            ("EXPIRES", lambda t: (t["expires_at"] or "")[:16]),
            ("REVOKED", lambda t: (t["revoked_at"] or "")[:16]),
        ],
        empty="No tokens yet.",
    )


@token.command("revoke")
def revoke_token(
    token_id: Annotated[str, typer.Argument(help="Its id, as `taxiway token list` shows it.")],
) -> None:
    """Make an API token count no longer, at once."""
    from taxiway.client import calls

    with connected() as client:
        client.send(calls.plain("DELETE", "tokens", token_id))
    say(f"Token {token_id} is revoked.")
