"""How Ansible reaches a machine of the suite: by the namespaces of its init."""

import subprocess

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
    name: inside
    short_description: Runs commands in the namespaces of a process
    description: [The process is the init of a machine of the suite.]
    author: Portcullis
    options:
      init:
        description: The number of that process.
        required: true
        vars: [{name: ansible_inside_init}]
"""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Connection(ConnectionBase):
    transport = "inside"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def _enter(self, words, given):
        init = str(self.get_option("init"))
        enter = ["nsenter", "-t", init, "-m", "-p", "-u", "-i", "-n", "-C"]
        clean = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LC_ALL=C.UTF-8"]
        ran = subprocess.run(enter + clean + words, input=given or b"", capture_output=True, check=False)
        return ran.returncode, ran.stdout, ran.stderr

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._enter(["sh", "-c", cmd], in_data)

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as source:
            code, _, said = self._enter(["dd", f"of={out_path}", "status=none"], source.read())
        if code != 0:
            raise AnsibleConnectionFailure(f"cannot write {out_path}: {said.decode()}")

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        code, content, said = self._enter(["cat", in_path], None)
        if code != 0:
            raise AnsibleConnectionFailure(f"cannot read {in_path}: {said.decode()}")
        with open(out_path, "wb") as target:
            target.write(content)

    def close(self):
        self._connected = False
