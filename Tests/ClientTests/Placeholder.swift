// Tests of Client.
