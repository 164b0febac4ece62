"""What the stand-in's model answers: always the same text, or one Bash call where the prompt asks for it."""

import json
import secrets

ANSWER = "CANNED-ANSWER"
USAGE = {"input_tokens": 10, "output_tokens": 1}


def bash_command(request):
    """The COMMAND of a prompt with `RUNBASH:COMMAND:END`, unless it was run already or there is no Bash tool."""
    conversation = json.dumps(request.get("messages") or [])
    has_bash = any(tool.get("name") == "Bash" for tool in request.get("tools") or [])
    if "RUNBASH:" not in conversation or '"tool_result"' in conversation or not has_bash:
        return None
    return conversation.split("RUNBASH:", 1)[1].split(":END")[0]


def whole_message(request):
    message = _empty_message(request)
    message.update(content=[{"type": "text", "text": ANSWER}], stop_reason="end_turn")
    return message


def event_stream(request):
    """The same as server-sent events."""
    command = bash_command(request)
    if command is None:
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": ANSWER}
        stop_reason = "end_turn"
    else:
        block = {"type": "tool_use", "id": f"toolu_FAKE{secrets.token_hex(4)}", "name": "Bash", "input": {}}
        delta = {"type": "input_json_delta",
                 "partial_json": json.dumps({"command": command, "description": "test"})}
        stop_reason = "tool_use"
    events = [
        {"type": "message_start", "message": _empty_message(request)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": None},
         "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def _empty_message(request):
    return {"id": "msg_FAKE", "type": "message", "role": "assistant", "model": request.get("model"), "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": USAGE}
