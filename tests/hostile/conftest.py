"""The fixtures and helpers of the integration tests."""

import importlib.util
import sys
from pathlib import Path

integration = Path(__file__).resolve().parents[1] / "integration"
sys.path.insert(0, str(integration))
specification = importlib.util.spec_from_file_location("integration_conftest", integration / "conftest.py")
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
globals().update({name: value for name, value in vars(module).items() if not name.startswith("__")})
