/**
 * Shell completion in kubectl's plugin protocol: the words so far as arguments, the last one to be completed; one choice a
 * line, with a description after a tab, and a last line `:N` that tells the shell what else to do.
 */
import {KubeConfig} from '@kubernetes/client-node';
import type {KubeObject} from '../api/kubernetes.ts';
import * as resources from '../kube/resources.ts';
import type {Resource} from '../kube/resources.ts';
import {type Cluster, openCluster} from './cluster.ts';
import type {Command} from './command.ts';
import {connectionFlags, type ConnectionValues} from './connection-flags.ts';
import {type Completes, type FlagSet, split} from './flags.ts';

/** Cobra's: no file names, and no space after the word. */
const directives = {files: 0, noSpace: 2, noFiles: 4} as const;

export interface Choices {
	readonly words: readonly string[];
	readonly directive: number;
}

const nothing: Choices = {words: [], directive: directives.noFiles};

/** Nobody waits longer for a word. */
const patienceMs = 3000;

interface Asked {
	readonly completes: Completes;
	/** Of the word, what is to be completed. */
	readonly prefix: string;
	/** Of the word, what stays. */
	readonly before: string;
}

/** What the last word is. Pure. */
export function askedFor(command: Pick<Command, 'flags' | 'positional'>, words: readonly string[]): Asked | 'flags' {
	const word = words.at(-1) ?? '';
	const flagOf = (written: string) => {
		const [, long] = /^--(.+)$/.exec(written) ?? [];
		const [, short] = /^-(.)$/.exec(written) ?? [];
		return Object.entries(command.flags).find(([name, flag]) => name === long || (short && flag.short === short))?.[1];
	};
	const [, flag, value] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
	if (flag !== undefined && value !== undefined) {
		return {completes: flagOf(flag)?.completes ?? 'none', prefix: value, before: `${flag}=`};
	}
	const previous = flagOf(words.at(-2) ?? '');
	if (previous?.value) return {completes: previous.completes, prefix: word, before: ''};
	if (word.startsWith('-')) return 'flags';
	return {completes: command.positional, prefix: word, before: ''};
}

function flagChoices(flags: FlagSet, word: string): Choices {
	const words = Object.entries(flags)
		.map(([name, {help}]) => `--${name}\t${help}`)
		.filter((line) => line.startsWith(word));
	return {words, directive: directives.noFiles};
}

async function names<T extends KubeObject>(
	{api}: Cluster,
	resource: Resource<T>,
	namespace?: string,
): Promise<string[]> {
	const {items} = await api.list(resource, {namespace, limit: 500, timeoutMs: patienceMs});
	return items.map(({metadata}) => metadata.name);
}

/** `NAMESPACE/NAME`: names of the own namespace, and namespaces to go on with. */
async function placed(cluster: Cluster, resource: Resource<KubeObject>, prefix: string): Promise<Choices> {
	const [namespace, rest] = prefix.split('/', 2);
	if (namespace !== undefined && rest !== undefined) {
		const there = await names(cluster, resource, namespace);
		return {words: there.map((name) => `${namespace}/${name}`), directive: directives.noFiles};
	}
	const [own, others] = await Promise.allSettled([
		names(cluster, resource, cluster.namespace),
		names(cluster, resources.namespaces),
	]);
	const here = own.status === 'fulfilled' ? own.value : [];
	const elsewhere = others.status === 'fulfilled' ? others.value.map((each) => `${each}/`) : [];
	return {
		words: [...here, ...elsewhere],
		directive: elsewhere.length > 0 ? directives.noSpace | directives.noFiles : directives.noFiles,
	};
}

function fromKubeconfig(values: ConnectionValues, what: 'contexts' | 'clusters' | 'users'): string[] {
	const config = new KubeConfig();
	if (values.kubeconfig) config.loadFromFile(values.kubeconfig);
	else config.loadFromDefault();
	return config[what].map(({name}) => name);
}

async function choicesOf(completes: Completes, prefix: string, values: ConnectionValues): Promise<Choices> {
	const plain = (words: readonly string[]): Choices => ({words, directive: directives.noFiles});
	if (typeof completes !== 'string') return plain(completes);
	if (completes === 'none') return nothing;
	if (completes === 'file') return {words: [], directive: directives.files};
	if (completes === 'contexts' || completes === 'clusters' || completes === 'users') {
		return plain(fromKubeconfig(values, completes));
	}
	using cluster = openCluster(values);
	switch (completes) {
		case 'namespaces':
			return plain(await names(cluster, resources.namespaces));
		case 'storageClasses':
			return plain(await names(cluster, resources.storageClasses));
		case 'dataVolumes':
			return plain(await names(cluster, resources.dataVolumes, cluster.namespace));
		case 'claims':
			return placed(cluster, resources.persistentVolumeClaims, prefix);
		case 'snapshots':
			return placed(cluster, resources.volumeSnapshots, prefix);
		case 'dataSources':
			return placed(cluster, resources.dataSources, prefix);
		default:
			return completes satisfies never;
	}
}

/** What was written of the connection before the word, as far as it makes sense. */
function connectionOf(flags: FlagSet, words: readonly string[]): ConnectionValues {
	const {given} = split(flags, words.slice(0, -1));
	const first = (name: keyof ConnectionValues) => given.get(name)?.[0];
	return Object.fromEntries(
		Object.keys(connectionFlags).map((name) => [
			name,
			name === 'request-timeout' ? undefined : first(name as keyof ConnectionValues),
		]),
	) as unknown as ConnectionValues;
}

/** Never rejects: who presses Tab wants no error messages. */
export async function complete(command: Command, words: readonly string[]): Promise<Choices> {
	try {
		const asked = askedFor(command, words);
		if (asked === 'flags') return flagChoices(command.flags, words.at(-1) ?? '');
		const {prefix, before, completes} = asked;
		const {words: found, directive} = await choicesOf(completes, prefix, connectionOf(command.flags, words));
		const fitting = found.filter((choice) => choice.startsWith(prefix)).toSorted();
		return {words: fitting.map((choice) => `${before}${choice}`), directive};
	} catch {
		return nothing;
	}
}

export function formatChoices({words, directive}: Choices): string {
	return [...words, `:${directive}`].map((line) => `${line}\n`).join('');
}
