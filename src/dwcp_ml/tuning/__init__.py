"""The search for better parameters: trials on train and validation, never on the test part."""
