"""How the pocket LLaVA was made: data, rules, tower, language model, figures."""
