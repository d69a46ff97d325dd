"""The places where LlamaBoard is extended, in the table form of ``stage.hooks``."""

from __future__ import annotations

from distillm2.stage.hooks import Hook

_WEBUI = "llamafactory.webui"
_RUNNER = f"{_WEBUI}.runner"

WEBUI_HOOKS: tuple[Hook, ...] = (
    Hook(f"{_WEBUI}.locales", "LOCALES", kind=dict, contains="rlhf_tab", purpose="the fields' labels"),
    Hook(f"{_WEBUI}.locales", "ALERTS", kind=dict, contains="err_no_reward_model", purpose="messages about teachers"),
    Hook(f"{_WEBUI}.common", "load_args", ("config_path",), purpose="the stage of the run that is started"),
    Hook(f"{_WEBUI}.common", "get_save_dir", ("paths",), purpose="the folder of the logs to plot"),
    Hook(_RUNNER, "gen_cmd", ("args",), used_by="Runner._preview", purpose="the command to preview"),
    Hook(_RUNNER, "Popen", used_by="Runner._launch", purpose="the command to run"),
    Hook(_RUNNER, "Runner._initialize", ("data", "do_train", "from_preview"), purpose="a missing teacher is said"),
    Hook(_RUNNER, "Runner._parse_train_args", ("data",), purpose="the fields become arguments"),
    Hook(_RUNNER, "Runner._build_config_dict", ("data",), purpose="saved configurations"),
    Hook(_RUNNER, "Runner.monitor", purpose="the plots"),
    Hook(f"{_WEBUI}.engine", "Runner", ("manager", "demo_mode"), used_by="Engine.__init__", purpose="our runner"),
    Hook(f"{_WEBUI}.manager", "Manager.get_base_elems", purpose="the fields are inputs of all buttons"),
    Hook(f"{_WEBUI}.components.train", "change_stage", ("training_stage",), used_by="create_train_tab"),
    Hook(f"{_WEBUI}.interface", "create_train_tab", ("engine",), used_by="create_ui", purpose="the accordion"),
)
