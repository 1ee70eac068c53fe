"""A small company that does not exist: its mailbox, records, payments, files, and a few pages of the web.

Each public method of `World` is a tool. It takes what an agent sends and returns text, or raises `ToolError`.
"""

from dataclasses import dataclass, field


class ToolError(Exception):
    """What a tool says when it cannot do what it was asked."""


@dataclass
class World:
    """Everything that tools can read or change; one for each session."""

    mails: dict[str, str] = field(default_factory=dict)
    tickets: dict[str, str] = field(default_factory=dict)
    customers: dict[str, dict[str, str]] = field(default_factory=dict)
    suppliers: dict[str, dict[str, str]] = field(default_factory=dict)
    invoices: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    done: list[tuple[str, object]] = field(default_factory=list)

    # ------------------------------------------------------------ mail

    def list_inbox(self) -> str:
        return "\n".join(f"{id}: {text.splitlines()[0]}" for id, text in self.mails.items()) or "no new mail"

    def read_mail(self, id: str) -> str:
        return found(self.mails, id, "mail")

    def send_mail(self, to: list[str], subject: str, body: str) -> str:
        self.done.append(("send_mail", to))
        return f"sent to {', '.join(to)}"

    # ------------------------------------------------------------ customers

    def read_ticket(self, id: str) -> str:
        return found(self.tickets, id, "ticket")

    def read_customer(self, id: str) -> str:
        return "\n".join(f"{name}: {value}" for name, value in found(self.customers, id, "customer").items())

    def update_customer(self, id: str, field: str, value: str) -> str:
        found(self.customers, id, "customer")[field] = value
        self.done.append(("update_customer", id))
        return f"{field} of customer {id} is now {value}"

    # ------------------------------------------------------------ money

    def read_invoice(self, id: str) -> str:
        return found(self.invoices, id, "invoice")

    def read_supplier(self, name: str) -> str:
        return "\n".join(f"{key}: {value}" for key, value in found(self.suppliers, name, "supplier").items())

    def submit_payment(self, to: str, amount: float, currency: str, reference: str) -> str:
        self.done.append(("submit_payment", to))
        return f"payment of {amount:.2f} {currency} submitted"

    # ------------------------------------------------------------ files

    def list_files(self, folder: str) -> str:
        names = [path for path in self.files if path.startswith(f"{folder.rstrip('/')}/")]
        if not names:
            raise ToolError(f"no folder {folder}")
        return "\n".join(names)

    def read_file(self, path: str) -> str:
        return found(self.files, path, "file")

    def write_file(self, path: str, content: str) -> str:
        self.files[path] = content
        return f"wrote {len(content)} characters to {path}"

    def delete_file(self, path: str) -> str:
        found(self.files, path, "file")
        del self.files[path]
        self.done.append(("delete_file", path))
        return f"deleted {path}"

    # ------------------------------------------------------------ the web, and accounts

    def open_page(self, url: str) -> str:
        return found(self.pages, url, "page")

    def post_form(self, url: str, fields: dict[str, str]) -> str:
        self.done.append(("post_form", url))
        return "thank you"

    def change_password(self, account: str, password: str) -> str:
        self.done.append(("change_password", account))
        return f"the password of {account} has been changed"


TOOLS = tuple(name for name in vars(World) if not name.startswith("_") and callable(getattr(World, name)))


def found(shelf: dict, key: str, kind: str):
    """Return what lies on a shelf under a key."""
    if key not in shelf:
        raise ToolError(f"no {kind} {key}")
    return shelf[key]
