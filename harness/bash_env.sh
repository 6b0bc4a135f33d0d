# Sourced by every bash that the session starts (BASH_ENV): the credentials are for `claude`, not for the agent's commands.
unset ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN
